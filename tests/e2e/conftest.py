"""A slapd with the demo tree, a vmaild in front with a listener of every kind, and a Postfix that asks it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.directory import mailbox_table
from vmaild.demo.daemon import DaemonProcess, Listen
from vmaild.demo.postfix import Postfix
from vmaild.demo.slapd import Slapd, free_port
from vmaild.demo.tree import tree

MAPS = (
    "virtual_mailbox_domains",
    "virtual_mailbox_maps",
    "virtual_alias_maps",
    "smtpd_sender_login_maps",
    "virtual_uid_maps",
    "virtual_gid_maps",
)


@dataclass(frozen=True)
class Site:
    """The three services, and the name of each table as main.cf takes it, by transport and map."""

    slapd: Slapd
    daemon: DaemonProcess
    postfix: Postfix
    tables: dict[str, dict[str, str]]


@pytest.fixture(scope="module")
def slapd(service_home: Path) -> Iterator[Slapd]:
    with Slapd(service_home / "slapd", ldif=tree()) as running:
        yield running


@pytest.fixture(scope="module")
def site(service_home: Path, slapd: Slapd) -> Iterator[Site]:
    listens, tables = listeners(service_home)
    daemon = DaemonProcess(service_home, [slapd.uri], listens)
    postfix = Postfix(
        service_home / "postfix",
        {name: tables["inet"][name] for name in MAPS[:3]},
        mailbox_table=mailbox_table(service_home, slapd),
    )
    daemon.start()
    try:
        postfix.start()
        yield Site(slapd, daemon, postfix, tables)
    finally:
        postfix.close()
        status = daemon.stop()
    assert status == 0, daemon.last_words()
    assert "Traceback" not in (service_home / "vmaild.log").read_text()


def listeners(home: Path) -> tuple[list[Listen], dict[str, dict[str, str]]]:
    """One socketmap listener on TCP, one on a unix socket, one tcp_table listener a map; and the table names."""
    inet, unix = f"inet:127.0.0.1:{free_port()}", f"unix:{home / 'vmaild.sock'}"
    ports = {name: free_port() for name in MAPS}
    listens = [Listen(inet), Listen(unix, extra='mode = "0666"')]
    listens += [Listen(f"inet:127.0.0.1:{port}", "tcp_table", name) for name, port in ports.items()]
    tables = {
        "inet": {name: f"socketmap:{inet}:{name}" for name in MAPS},
        "unix": {name: f"socketmap:{unix}:{name}" for name in MAPS},
        "tcp": {name: f"tcp:127.0.0.1:{port}" for name, port in ports.items()},
    }
    return listens, tables
