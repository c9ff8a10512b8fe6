"""Passwords and certificates that change on disk, without a restart."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.directory import sync_rig
from tests.directory.certificates import Authority
from tests.directory.rig import until
from vmaild.demo.slapd import Slapd
from vmaild.demo.tree import READER_DN, READER_PW, SEARCH_BASE, tree
from vmaild.directory import DirectorySettings, Pool
from vmaild.directory.secrets import Secrets
from vmaild.lookup import Scope, Search

SEARCH = Search(SEARCH_BASE, Scope.ONE, "(objectClass=organization)", ("o",))


@pytest.fixture
def slapd(tmp_path: Path) -> Iterator[Slapd]:
    with Slapd(tmp_path / "slapd", ldif=tree()) as running:
        yield running


def settings(uri: str, password: Path, **more: object) -> DirectorySettings:
    return DirectorySettings(
        **{"uri": (uri,), "search_base": SEARCH_BASE, "bind_dn": READER_DN, "bind_pw": READER_PW,
           "bind_pw_file": str(password), "max_lifetime": 0.6, "check_interval": 0.2, **more}
    )  # fmt: skip


async def test_a_changed_password_is_used_by_the_next_connection_and_no_lookup_is_lost(
    slapd: Slapd, tmp_path: Path
) -> None:
    password = tmp_path / "bind_pw"
    password.write_text(f"{READER_PW}\n")
    pool = Pool(settings(slapd.uri, password))
    await pool.start()
    try:
        assert await pool.search(SEARCH)
        await sync_rig.change(slapd, READER_DN, "modify", "replace: userPassword", "userPassword: changed")
        password.write_text("changed\n")
        made = pool.counters.connects
        while pool.counters.connects < made + 4:
            assert await pool.search(SEARCH)
            await asyncio.sleep(0.02)
        assert not pool.counters.connect_failures
    finally:
        await pool.close()


async def test_a_password_that_was_refused_is_read_again(slapd: Slapd, tmp_path: Path) -> None:
    password = tmp_path / "bind_pw"
    password.write_text("wrong\n")
    pool = Pool(settings(slapd.uri, password, bind_pw="wrong"))
    await pool.start()
    try:
        await until(lambda: pool.counters.connect_failures["credentials"] > 0)
        password.write_text(READER_PW)
        await until(lambda: pool.ready)
    finally:
        await pool.close()


def test_a_file_that_cannot_be_used_leaves_what_was_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    password = tmp_path / "bind_pw"
    password.write_text(READER_PW)
    secrets = Secrets(settings("ldap://127.0.0.1", password), encrypted=False)
    for content in (b"", b"x" * 5000, b"\xff"):
        password.write_bytes(content)
        assert secrets.credentials().password == READER_PW
    password.unlink()
    assert secrets.credentials().password == READER_PW
    assert len(caplog.records) == 4
    password.write_text("another")
    assert secrets.credentials().password == "another"


def test_changed_certificates_are_used_and_unusable_ones_are_not(tmp_path: Path) -> None:
    cert = Authority(tmp_path).ca
    file = tmp_path / "trusted.pem"
    file.write_bytes(cert.read_bytes())
    secrets = Secrets(settings("ldaps://127.0.0.1", tmp_path / "none", tls_ca_cert_file=str(file)), encrypted=True)
    first = secrets.context()
    assert secrets.context() is first
    file.write_bytes(b"nonsense")
    assert secrets.context() is first
    file.write_bytes(cert.read_bytes() * 2)
    assert secrets.context() is not first
