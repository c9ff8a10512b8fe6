"""The pages' certificate and token follow a reload of the running daemon, on the same socket."""

from __future__ import annotations

import http.client
import shutil
import ssl
import stat
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.directory.certificates import Authority
from vmaild import admin, cli
from vmaild.demo.ask import ask
from vmaild.demo.daemon import DaemonProcess, Listen
from vmaild.demo.slapd import Slapd, free_port
from vmaild.demo.tree import tree
from vmaild.errors import ConfigError
from vmaild.lookup import Status

TOKENS = ("0123456789abcdef" * 2, "fedcba9876543210" * 2)


@pytest.fixture(scope="module")
def slapd(service_home: Path) -> Iterator[Slapd]:
    with Slapd(service_home / "slapd", ldif=tree()) as running:
        yield running


class Site:
    """A daemon whose pages want TLS and a token, and whom a monitor trusts."""

    def __init__(self, home: Path, slapd: Slapd) -> None:
        self.port = free_port()
        self.home = home
        self.use("first", TOKENS[0])
        listens = [Listen(f"inet:127.0.0.1:{free_port()}")]
        tables = f"""[http]
address = "inet:127.0.0.1:{self.port}"
tls_cert_file = "cert.pem"
tls_key_file = "key.pem"
token_file = "token"
"""
        self.daemon = DaemonProcess(home, [slapd.uri], listens, tables=tables)

    def use(self, authority: str, token: str) -> None:
        """Put certificate, key and token of these in the daemon's folder."""
        folder = self.home / authority
        folder.mkdir()
        made = Authority(folder)
        for source, name in zip(made.issue("/CN=localhost", "DNS:localhost"), ("cert.pem", "key.pem"), strict=True):
            shutil.copy(source, self.home / name)
        (self.home / "token").touch(mode=0o600)
        (self.home / "token").write_text(f"{token}\n")
        self.trusted = ssl.create_default_context(cafile=made.ca)
        self.trusted.verify_flags &= ~ssl.VERIFY_X509_STRICT

    def status(self, token: str) -> int:
        """The status of /health."""
        connection = http.client.HTTPSConnection("localhost", self.port, timeout=30, context=self.trusted)
        try:
            connection.request("GET", "/health", headers={"Authorization": f"Bearer {token}"})
            return connection.getresponse().status
        finally:
            connection.close()

    def reload(self) -> str:
        return admin.reload(str(self.home / "control.sock"))


@pytest.fixture
def site(tmp_path: Path, slapd: Slapd) -> Iterator[Site]:
    site = Site(tmp_path, slapd)
    site.daemon.start()
    yield site
    assert site.daemon.stop() == 0


def test_a_renewed_certificate_and_token_are_used_after_a_reload(site: Site) -> None:
    assert [site.status(token) for token in TOKENS] == [200, 401]
    trusted_before = site.trusted
    site.use("second", TOKENS[1])
    with pytest.raises(ssl.SSLCertVerificationError):
        site.status(TOKENS[0])
    assert "reloaded" in site.reload()
    assert [site.status(token) for token in TOKENS] == [401, 200]
    site.trusted = trusted_before
    with pytest.raises(ssl.SSLCertVerificationError):
        site.status(TOKENS[1])


def test_a_key_that_does_not_fit_is_refused_and_the_old_one_goes_on(
    site: Site, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(Authority(site.home).issue("/CN=other")[1], site.home / "key.pem")
    with pytest.raises(ConfigError, match=r"\[http\] tls_cert_file: .* the key does not belong to the certificate"):
        site.reload()
    assert site.status(TOKENS[0]) == 200
    assert ask(site.daemon.address, "virtual_mailbox_domains", "domain1.example").status is Status.FOUND
    assert cli.main(["-c", str(site.daemon.configuration), "check", "--offline"]) == 78
    assert "the key does not belong to the certificate" in capfd.readouterr().err


def test_pages_move_to_a_unix_socket_with_its_mode_and_back(site: Site) -> None:
    before = site.daemon.configuration.read_text()
    pages = site.home / "pages"
    table = before.replace(f'address = "inet:127.0.0.1:{site.port}"', f'address = "unix:{pages}"\nmode = "0620"')
    site.daemon.configuration.write_text(table)
    site.reload()
    assert stat.S_IMODE(pages.stat().st_mode) == 0o620
    site.daemon.configuration.write_text(table.replace("0620", "0600"))
    site.reload()
    assert stat.S_IMODE(pages.stat().st_mode) == 0o600
    with pytest.raises(OSError):  # noqa: PT011
        urllib.request.urlopen(f"https://localhost:{site.port}/health", timeout=30, context=site.trusted)
    site.daemon.configuration.write_text(before)
    site.reload()
    assert not pages.exists()
    assert site.status(TOKENS[0]) == 200


def test_a_control_socket_that_cannot_be_had_moves_the_pages_not_either(site: Site) -> None:
    before = site.daemon.configuration.read_text()
    pages, control = site.home / "pages", site.home / "none/control.sock"
    changed = before.replace(f'address = "inet:127.0.0.1:{site.port}"', f'address = "unix:{pages}"')
    site.daemon.configuration.write_text(changed.replace(f"unix:{site.home}/control.sock", f"unix:{control}"))
    assert "none/control.sock" in site.daemon.configuration.read_text()
    with pytest.raises(ConfigError, match="No such file or directory"):
        site.reload()
    assert not pages.exists()
    assert site.status(TOKENS[0]) == 200
