"""Certificates and keys out of files."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.directory.certificates import Authority
from vmaild.listening import read_certificate


@pytest.fixture(scope="module")
def authority(service_home: Path) -> Authority:
    return Authority(service_home)


@pytest.fixture(scope="module")
def files(authority: Authority) -> tuple[Path, Path]:
    return authority.issue("/CN=localhost", "DNS:localhost")


def test_certificate_and_key_may_stand_in_one_file(files: tuple[Path, Path], tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    both.write_bytes(b"".join(path.read_bytes() for path in files))
    assert read_certificate(both, both).context.get_ca_certs() == []
    read_certificate(*files)


def test_equal_are_those_of_the_same_content(authority: Authority, files: tuple[Path, Path]) -> None:
    assert read_certificate(*files) == read_certificate(*files)
    assert read_certificate(*files) != read_certificate(*authority.issue("/CN=localhost", "DNS:localhost"))
    assert "context" not in repr(read_certificate(*files))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "holds no certificate, or no key, in PEM format"),
        ("nonsense", "holds no certificate, or no key, in PEM format"),
    ],
)
def test_what_is_no_certificate_is_refused_in_words(
    files: tuple[Path, Path], tmp_path: Path, content: str, problem: str
) -> None:
    path = tmp_path / "wrong.pem"
    path.write_text(content)
    for pair in ((path, files[1]), (files[0], path)):
        with pytest.raises(ValueError, match=problem):
            read_certificate(*pair)


def test_the_key_of_another_certificate_is_refused_in_words(authority: Authority, files: tuple[Path, Path]) -> None:
    _, other = authority.issue("/CN=localhost", "DNS:localhost")
    with pytest.raises(ValueError, match="the key does not belong to the certificate"):
        read_certificate(files[0], other)


def test_an_encrypted_key_is_refused_and_nobody_is_asked_for_its_passphrase(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    encrypted = tmp_path / "encrypted.key"
    subprocess.run(
        ["openssl", "pkcs8", "-topk8", "-in", files[1], "-out", encrypted, "-passout", "pass:secret"], check=True
    )
    with pytest.raises(ValueError, match="the key is encrypted"):
        read_certificate(files[0], encrypted)


def test_a_file_that_is_not_there_is_named(files: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"absent\.pem"):
        read_certificate(tmp_path / "absent.pem", files[1])
