"""The kinds of table that a Postfix can be given: one Postfix instance for each, of which one runs at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.expectation import read_lines
from benchmarks.postfix_tables import SETTINGS, hash_settings, ldap_settings, socketmap_settings
from benchmarks.site import Reference, Site, Vmaild
from vmaild.demo.postfix import Postfix

VMAILD = "vmaild"


@dataclass(frozen=True, slots=True)
class Rival:
    """One kind of table: main.cf's settings, and the process that answers (0: Postfix's own processes do)."""

    name: str
    settings: Mapping[str, str]
    server_pid: int = 0
    asks_directory: bool = True


@dataclass(frozen=True, slots=True)
class Rivals:
    """All of them on one site, and the servers that take part."""

    site: Site
    vmaild: Vmaild
    dictionary: Reference
    echo: Reference
    all: tuple[Rival, ...]

    @classmethod
    def on(cls, site: Site, vmaild: Vmaild, tables: Path) -> Rivals:
        """Start the reference servers, and write the tables to ``tables``."""
        dictionary = site.reference("dict", "--table", str(site.table))
        echo = site.reference("echo")
        uri = site.slapd.uri
        hashes = hash_settings(tables / "hash", read_lines(site.table))
        return cls(
            site,
            vmaild,
            dictionary,
            echo,
            (
                Rival("ldap:", ldap_settings(tables / "ldap", uri, proxy=False)),
                Rival("proxy:ldap:", ldap_settings(tables / "ldap", uri, proxy=True)),
                Rival(VMAILD, socketmap_settings(vmaild.socketmap), vmaild.pid),
                Rival("hash:", hashes, asks_directory=False),
                Rival(
                    "dict socketmap server",
                    socketmap_settings(dictionary.address),
                    dictionary.pid,
                    asks_directory=False,
                ),
            ),
        )

    @contextmanager
    def postfix(self, rival: Rival) -> Iterator[Postfix]:
        """A Postfix that uses the rival's tables, started for the ``with`` block."""
        postfix = Postfix(self.site.new_home("postfix"), {**SETTINGS, **rival.settings})
        try:
            postfix.start()
            yield postfix
        finally:
            postfix.close()


def master_pid(postfix: Postfix) -> int:
    """The process id of its master(8), which wrote it down."""
    return int((postfix.home / "queue" / "pid" / "master.pid").read_text())
