"""A feed over TLS, whose password and certificates change while it runs: no restart, and no lookup is lost."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.directory import sync_rig
from tests.directory.certificates import Authority
from tests.directory.rig import until
from tests.feed.rig import MAILBOX, Hearing, hearing
from tests.feed.served import served
from tests.support.directory import account
from vmaild.demo.slapd import Slapd, Tls
from vmaild.demo.tree import READER_DN, READER_PW, SEARCH_BASE, tree
from vmaild.lookup import NOT_FOUND, found

USER, MAIL = "user1@domain1.example", b"domain1.example/user1/"


class Secured:
    """slapd with a certificate, and the files of vmaild."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.trusted = home / "trusted.pem"
        self.password = home / "bind_pw"
        self.password.write_text(f"{READER_PW}\n")
        self.cert, self.key = home / "cert.pem", home / "key.pem"
        self.certify()
        self.slapd = Slapd(home / "slapd", ldif=tree(), syncprov=True, tls=Tls(self.cert, self.key))

    def certify(self) -> None:
        """Another CA, and a certificate of it."""
        home = self.home / f"ca{len(list(self.home.glob('ca*')))}"
        home.mkdir()
        authority = Authority(home)
        cert, key = authority.issue("/CN=localhost", "DNS:localhost")
        self.cert.write_bytes(cert.read_bytes())
        self.key.write_bytes(key.read_bytes())
        self.trusted.write_bytes(authority.ca.read_bytes())

    def settings(self, *, start_tls: bool) -> dict[str, object]:
        return {
            "start_tls": start_tls,
            "tls_ca_cert_file": str(self.trusted),
            "bind_pw_file": str(self.password),
            "connect_timeout": 5.0,
        }

    def uri(self, *, start_tls: bool) -> str:
        return f"ldap://localhost:{self.slapd.port}" if start_tls else f"ldaps://localhost:{self.slapd.tls_port}"

    async def change_password(self, password: str) -> None:
        await sync_rig.change(self.slapd, READER_DN, "modify", "replace: userPassword", f"userPassword: {password}")
        await asyncio.to_thread(self.password.write_text, password)


async def hears(site: Hearing, slapd: Slapd, name: str) -> None:
    """A new account shows."""
    assert await site.find(f"{name}@domain1.example") == NOT_FOUND
    await asyncio.to_thread(slapd.add, account(f"{name}@domain1.example"))
    async with asyncio.timeout(8):
        while await site.find(f"{name}@domain1.example") == NOT_FOUND:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def heard_again(site: Hearing, connects: int) -> None:
    await until(lambda: site.feed.counters.connects > connects and site.feed.counters.mode == "sync", 15)
    await until(lambda: site.pool.ready, 15)


@pytest.mark.parametrize("start_tls", [False, True], ids=["ldaps", "StartTLS"])
async def test_the_feed_follows_a_password_and_a_certificate_that_change(tmp_path: Path, *, start_tls: bool) -> None:
    """Seen by reading: each stream was bound with the password that the configuration had been read with."""
    secured = Secured(tmp_path)
    with secured.slapd as slapd:
        async with hearing([secured.uri(start_tls=start_tls)], **secured.settings(start_tls=start_tls)) as site:
            assert await site.find(USER) == found(MAIL)
            await hears(site, slapd, "first")
            connects = site.feed.counters.connects
            await secured.change_password("changed")
            await hears(site, slapd, "second")  # the stream goes on
            assert site.feed.counters.connects == connects
            await asyncio.to_thread(slapd.restart)
            assert await site.find(USER) == found(MAIL)
            await heard_again(site, connects)
            await hears(site, slapd, "third")
            connects = site.feed.counters.connects
            await asyncio.to_thread(slapd.stop)
            await asyncio.to_thread(secured.certify)
            await asyncio.to_thread(slapd.start)
            assert await site.find(USER) == found(MAIL)
            await heard_again(site, connects)
            await hears(site, slapd, "fourth")
            assert site.is_cached(USER, MAILBOX)
            assert not site.freshness.counters.aged


async def test_a_credential_of_systemd_that_changes_is_used_by_the_next_connections(tmp_path: Path) -> None:
    credentials = tmp_path / "credentials"
    await asyncio.to_thread(credentials.mkdir)
    await asyncio.to_thread((credentials / "bind_pw").write_text, READER_PW)
    with Slapd(tmp_path / "slapd", ldif=tree(), syncprov=True) as slapd:
        text = f'preset = "courier"\n[directory]\nuri = "{slapd.uri}"\nsearch_base = "{SEARCH_BASE}"\n'
        text += f'bind_dn = "{READER_DN}"\n'
        environ = {"CREDENTIALS_DIRECTORY": str(credentials)}
        async with served(tmp_path / "vmaild.toml", text, environ) as site:
            await sync_rig.change(slapd, READER_DN, "modify", "replace: userPassword", "userPassword: changed")
            # systemd replaces the file, and not its content.
            await asyncio.to_thread((credentials / "new").write_text, "changed")
            await asyncio.to_thread((credentials / "new").replace, credentials / "bind_pw")
            connects = site.hearing.feeds[0].counters.connects
            await asyncio.to_thread(slapd.restart)
            await until(lambda: site.hearing.feeds[0].counters.connects > connects)
            await until(lambda: site.directory.ready)
            assert await site.find(MAILBOX, USER) == found(MAIL)
            assert not site.directory.counters.connect_failures["credentials"]
