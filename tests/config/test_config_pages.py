"""``[http]``: certificate, key and token in the configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.config.test_config import MINIMAL, problems
from tests.directory.certificates import Authority
from vmaild.config import Config, load

TOKEN = "0123456789abcdef"
INET = 'address = "inet:127.0.0.1:9143"\n'


@pytest.fixture(scope="module")
def files(service_home: Path) -> tuple[Path, Path]:
    return Authority(service_home).issue("/CN=localhost", "DNS:localhost")


@pytest.fixture
def folder(tmp_path: Path, files: tuple[Path, Path]) -> Path:
    """That of the configuration, with what it may name."""
    for name, content in {
        "cert.pem": files[0].read_text(),
        "key.pem": files[1].read_text(),
        "token": f"{TOKEN}\r\nnot read\n",
        "empty": "",
        "short": "abc",
        "long": "x" * 5000,
    }.items():
        path = tmp_path / name
        path.touch(mode=0o600)
        path.write_text(content)
    return tmp_path


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Config]:
    def read_text(text: str, environ: Mapping[str, str] | None = None) -> Config:
        path = tmp_path / "vmaild.toml"
        path.write_text(text)
        return load(path, environ or {})

    return read_text


def http(text: str, address: str = INET) -> str:
    return f"{MINIMAL}[http]\n{address}{text}\n"


def test_certificate_key_and_token_arrive_and_their_files_may_be_relative(
    read: Callable[..., Config], folder: Path
) -> None:
    config = read(http('tls_cert_file = "cert.pem"\ntls_key_file = "key.pem"\ntoken_file = "token"'))
    assert config.http.certificate is not None
    assert config.http.token == TOKEN
    assert TOKEN not in repr(config)
    assert config.warnings == ()


def test_the_settings_differ_when_a_file_was_replaced(
    read: Callable[..., Config], folder: Path, service_home: Path
) -> None:
    text = http('tls_cert_file = "cert.pem"\ntls_key_file = "key.pem"')
    before = read(text).http
    assert read(text).http == before
    (home := folder / "other").mkdir()
    for path, name in zip(Authority(home).issue("/CN=a"), ("cert.pem", "key.pem"), strict=True):
        (folder / name).write_bytes(path.read_bytes())
    assert read(text).http != before


def test_a_credential_comes_before_the_file(read: Callable[..., Config], folder: Path) -> None:
    (folder / "http_token").write_text("x" * 20)
    environ = {"CREDENTIALS_DIRECTORY": str(folder)}
    assert read(http('token_file = "token"'), environ).http.token == "x" * 20
    assert read(http(""), environ).http.token == "x" * 20
    assert read(http(""), {}).http.token == ""


def test_what_others_can_read_is_warned_of(read: Callable[..., Config], folder: Path) -> None:
    for name in ("key.pem", "token"):
        (folder / name).chmod(0o644)
    config = read(http('tls_cert_file = "cert.pem"\ntls_key_file = "key.pem"\ntoken_file = "token"'))
    assert [warning.partition("[http] ")[2] for warning in config.warnings] == [
        f"tls_key_file: '{folder}/key.pem' holds the key and can be read by every user; chmod 0640 it",
        f"token_file: '{folder}/token' holds the token and can be read by every user; chmod 0640 it",
    ]


def test_a_token_over_the_network_in_clear_is_warned_of(read: Callable[..., Config], folder: Path) -> None:
    address = 'address = "inet:192.0.2.1:9143"\nallow = ["192.0.2.0/24"]\n'
    (warning,) = read(http('token_file = "token"', address)).warnings
    assert "crosses the network in clear" in warning
    tls = 'tls_cert_file = "cert.pem"\ntls_key_file = "key.pem"\n'
    assert read(http(f'{tls}token_file = "token"', address)).warnings == ()
    assert read(http('token_file = "token"')).warnings == ()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('tls_key_file = "key.pem"', "tls_key_file: needs tls_cert_file"),
        ('tls_cert_file = "cert.pem"', "tls_cert_file: '{}/cert.pem': holds no certificate, or no key, in PEM format"),
        ('tls_cert_file = "absent"', "tls_cert_file: '{}/absent': No such file or directory"),
        ('tls_cert_file = "cert.pem"\ntls_key_file = "absent"',
         "tls_key_file: '{}/absent': No such file or directory"),
        ('token_file = "absent"', "token_file: '{}/absent': No such file or directory"),
        ('token_file = "empty"', "token_file: '{}/empty': is empty"),
        ('token_file = "long"', "token_file: '{}/long': is too long for a token"),
        ('token_file = "short"', "token_file: '{}/short': a token of 3 characters can be guessed: write one with"
         " `openssl rand -hex 32`"),
        ("token_file = 5", "token_file: must be a string, not a number"),
        ('token = "0123456789abcdef"', "token: unknown key; did you mean 'token_file'?"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_a_problem_of_its_key(
    read: Callable[..., Config], folder: Path, text: str, problem: str
) -> None:
    assert problems(read, http(text)) == [f"[http] {problem.format(folder)}"]


def test_pages_without_an_address_are_no_pages(read: Callable[..., Config]) -> None:
    assert problems(read, http('token_file = "token"', "")) == ["[http] address: is missing"]
