"""``cf = [...]`` of a map: ldap_table(5) files, each as a query and the directory that it is asked in.

An entry is a path (``/etc/postfix/ldap-aliases.cf``, or relative to vmaild.toml), as in main.cf with ``ldap:`` or
``proxy:ldap:`` before it, or ``ldap:NAME`` for parameters ``NAME_*`` in Postfix's main.cf. Files with the same server,
bind and TLS settings share one directory, and so one pool; it gets the longest ``timeout`` among them, and the search
base of the first as the entry that must be there. The size of its pool, and what else no table file says (``BOUNDS``),
is what ``[directory]`` has, which may have nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from vmaild.config.section import Section
from vmaild.directory import DirectorySettings
from vmaild.directory import problems as directory_problems
from vmaild.postfix import files
from vmaild.postfix.ldap_cf import LdapTable
from vmaild.postfix.tables import TableName

SHARED_BY = (
    "uri",
    "bind_method",
    "bind_dn",
    "bind_pw",
    "start_tls",
    "tls_ca_cert_file",
    "tls_ca_cert_dir",
    "tls_cert",
    "tls_key",
    "tls_require_cert",
)
"""What must be equal for two tables to share a directory."""


BOUNDS = (
    "lookup_timeout",
    "connect_timeout",
    "pool_size",
    "max_waiting",
    "max_waiting_per_client",
    "max_lifetime",
    "check_interval",
    "failback_after",
    "slow_after",
    "max_answer",
    "max_values",
)
"""What no table file says: ``[directory]`` does, for the directories of table files too."""


class Directories:
    """The directories that are asked, ``written`` first, equal ones once; and which query of which map asks which."""

    def __init__(self, written: Sequence[DirectorySettings] = (), bounds: Mapping[str, Any] | None = None) -> None:
        self.bounds = bounds or {}
        """What the directories of table files have from ``[directory]``, of ``BOUNDS``."""
        self._shared = {sharing_key(settings): settings for settings in written}
        self._asked: dict[str, list[tuple[object, ...]]] = {}

    def add(self, map_name: str, settings: DirectorySettings) -> int:
        """Note that the next query of ``map_name`` is asked in the directory of ``settings``; returns its number."""
        self._asked.setdefault(map_name, []).append(sharing_key(settings))
        return self.number(settings)

    def number(self, settings: DirectorySettings) -> int:
        """The number of the directory of ``settings``, which is added when there is none like it."""
        key = sharing_key(settings)
        first = self._shared.setdefault(key, settings)
        self._shared[key] = replace(first, timeout=max(first.timeout, settings.timeout))
        return list(self._shared).index(key)

    @property
    def different(self) -> tuple[DirectorySettings, ...]:
        """Each directory once, in the order found."""
        return tuple(self._shared.values())

    def by_map(self) -> Mapping[str, tuple[DirectorySettings, ...]]:
        """For each map made of files, the directory of each of its queries; equal ones are the same object."""
        return {name: tuple(self._shared[key] for key in keys) for name, keys in self._asked.items()}


def sharing_key(settings: DirectorySettings) -> tuple[object, ...]:
    """What two tables that share a directory have in common: server, bind and TLS."""
    return tuple(getattr(settings, name) for name in SHARED_BY)


def read_entries(section: Section, home: Path, postfix: Path) -> list[LdapTable]:
    """The tables that the map's ``cf`` names, in order; what is wrong with an entry is noted."""
    entries = section.strings("cf")
    if not entries:
        section.problem("cf", "must name one or more ldap_table(5) files")
    return read_tables(section, "cf", entries or (), home, postfix)


def read_tables(section: Section, key: str, entries: Sequence[str], home: Path, postfix: Path) -> list[LdapTable]:
    """The tables of ``entries``, in order; what is wrong with one is noted with ``key``."""
    found = []
    for entry in entries:
        table = _read(section, key, entry, home, postfix)
        if table is None:
            continue
        for parameter, text in table.problems:
            section.problem(key, _sentence(entry, parameter, text))
        for parameter, text in table.warnings:
            section.warn(key, _sentence(entry, parameter, text))
        found.append(table)
    return found


def directory_settings(
    section: Section, table: LdapTable, bounds: Mapping[str, Any], key: str = "cf"
) -> DirectorySettings:
    """The directory of a table within ``bounds``; what is wrong with it is noted with ``key``."""
    values = {**bounds, **table.directory}
    settings = DirectorySettings(**{**values, "uri": tuple(values["uri"])})
    for name, text in directory_problems(settings):
        section.problem(key, _sentence(table.name, {"uri": "server_host"}.get(name, name), text))
    return settings


def _read(section: Section, key: str, entry: str, home: Path, postfix: Path) -> LdapTable | None:
    table = TableName.of(entry)
    try:
        if table.is_ldap and not table.is_file:
            return files.read_table(table, files.read_site(postfix).main)
        path = home / (table.name if table.is_ldap else entry)
        found = files.read_table_file(path)
        if found.directory.get("bind_pw") and path.stat().st_mode & 0o004:
            section.warn(key, f"{path}: holds bind_pw and can be read by every user; chmod 0640 it")
        return found
    except (OSError, ValueError) as error:  # ValueError: no text, or a NUL in the name
        section.problem(key, f"{entry!r}: {getattr(error, 'strerror', None) or error}")
        return None


def _sentence(entry: str, parameter: str, text: str) -> str:
    return f"{entry}: {parameter}: {text}" if parameter else f"{entry}: {text}"
