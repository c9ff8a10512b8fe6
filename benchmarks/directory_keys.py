"""The keys of a directory, by ldapsearch(1), as an expectation file would hold them.

It asks the directory itself and not the server under test, so the expectation is an independent one. The account
that binds must be allowed to read that many entries: slapd's default is 500 (``limits`` in slapd.conf(5)).
"""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.expectation import Expected, Line
from vmaild.lookup import Status

PAGE = 1000
"""Entries for each page (RFC 2696), so that a limit on one answer is no limit on the whole."""

ACCOUNTS = "(objectClass=courierMailAccount)"
"""The mail accounts of the HOWTO's schema."""


class DirectoryUnreadable(Exception):
    """ldapsearch failed. The text is its own."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where keys come from: the values of ``key_attribute`` of the entries that match ``query``.

    ``value_attribute`` holds the right answer, several values joined by commas; empty where it is not known.
    """

    uri: str
    base: str
    query: str = ACCOUNTS
    key_attribute: str = "mail"
    value_attribute: str = ""
    bind_dn: str = ""
    bind_pw_file: Path | None = None
    start_tls: bool = False

    def command(self) -> list[str]:
        """The ldapsearch command."""
        command = ["ldapsearch", "-x", "-LLL", "-o", "ldif-wrap=no", "-E", f"pr={PAGE}/noprompt"]
        command += ["-H", self.uri, "-b", self.base]
        if self.bind_dn:
            command += ["-D", self.bind_dn]
        if self.bind_pw_file is not None:
            command += ["-y", str(self.bind_pw_file)]
        if self.start_tls:
            command.append("-ZZ")
        return [*command, self.query, self.key_attribute, *filter(None, [self.value_attribute])]


def directory_lines(source: Source, map_name: bytes) -> Iterator[Line]:
    """One line for each key in the directory. Raises ``DirectoryUnreadable``."""
    try:
        done = subprocess.run(source.command(), capture_output=True, check=False)
    except FileNotFoundError:
        raise DirectoryUnreadable("ldapsearch is missing; on Debian: apt-get install ldap-utils") from None
    if done.returncode:
        raise DirectoryUnreadable(done.stderr.decode(errors="replace").strip() or f"status {done.returncode}")
    for entry in entries(done.stdout):
        values = entry.get(source.value_attribute.lower(), [])
        value = b",".join(values) if source.value_attribute and values else None
        for key in entry.get(source.key_attribute.lower(), []):
            yield Line(map_name, key, Expected(Status.FOUND, value))


def entries(ldif: bytes) -> Iterator[dict[str, list[bytes]]]:
    """The entries of unwrapped LDIF (RFC 2849): raw values by lower-case attribute name."""
    for block in ldif.split(b"\n\n"):
        entry: dict[str, list[bytes]] = {}
        for line in block.splitlines():
            name, colon, value = line.partition(b":")
            if not colon or name.startswith(b"#"):
                continue
            encoded = value.startswith(b":")
            raw = base64.b64decode(value[1:].strip()) if encoded else value.removeprefix(b" ")
            entry.setdefault(name.decode("ascii", "replace").lower(), []).append(raw)
        if entry:
            yield entry
