"""Which ``ldap:`` tables of a Postfix become which maps of vmaild, and what to know before.

Tables that follow each other in one parameter become one map, so that an exact address in the second is found before a
catch-all in the first, as Postfix has it. A table with a setting that cannot be kept stays where it is.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from pathlib import PurePath

from vmaild.migration.local_domains import finds_localparts, local_domains
from vmaild.migration.traps import traps
from vmaild.migration.uses import ACCESS, ADDRESSES, AGENTS, DOMAINS, EXACT, USES, Use, access, is_access_check
from vmaild.postfix import macros
from vmaild.postfix.files import Site
from vmaild.postfix.ldap_cf import LdapTable
from vmaild.postfix.tables import TableName, words

ReadTable = Callable[[TableName], LdapTable]
"""A table with its settings. Raises OSError or UnicodeDecodeError."""

_EACH_ADDRESS = re.compile(r"=\*@%[sd]\)")

_WITHIN = re.compile(r"\bldap:(?!//)")
"""An ldap: table within a word, not the URL of a server."""


@dataclass(slots=True)
class MapPlan:
    """One map: the table files that it reads, in order, and its keys."""

    name: str
    cf: list[str]
    keys: str
    propagate_extension: bool = False
    quoted_only: bool = False


@dataclass(slots=True)
class Plan:
    """What to write, what to change in main.cf, and what to print."""

    maps: list[MapPlan] = field(default_factory=list)
    changes: dict[str, list[str]] = field(default_factory=dict)
    """The words of each parameter that changes."""
    warnings: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    """Tables that stay with Postfix, and why."""
    mydestination: list[str] = field(default_factory=list)
    """The domains whose users are searched for without their domain too."""


def make_plan(site: Site, read: ReadTable, endpoint: str, supported: Collection[str]) -> Plan:
    """The plan for a Postfix; ``endpoint`` is where vmaild will listen, ``supported`` the kinds of keys it knows."""
    planner = _Planner(site, read, endpoint, supported)
    for name in site.main.settings.values:
        planner.parameter(name)
    planner.plan.warnings += traps(site, planner.plan.changes, endpoint)
    return planner.plan


class _Planner:
    """The plan being made."""

    def __init__(self, site: Site, read: ReadTable, endpoint: str, supported: Collection[str]) -> None:
        self.plan = Plan()
        self._site = site
        self._main = site.main
        self._read = read
        self._endpoint = endpoint
        self._supported = supported
        self._usable: dict[str, bool] = {}

    def parameter(self, name: str) -> None:
        """Plan one parameter of main.cf."""
        listed = words(self._main.settings.values[name])
        changed: list[str] = []
        maps = len(self.plan.maps)
        for word, table, asked, joins in self._tables(name, listed):
            use = self._narrowed(table, asked)
            if table is None or use is None or not self._taken(table, use):
                self._note_kept(name, word, table, use)
                changed.append(word)
                continue
            self._note_each_address(name, table, use)
            if joins and changed and self._joins(maps, changed[-1], use):
                self._join(table, use)
            else:
                changed.append(self._new_map(name, table, use))
        if changed != listed:
            self.plan.changes[name] = changed

    def _joins(self, first: int, before: str, use: Use) -> bool:
        """Whether a table asked so can be of the map that the word before names, of those from ``first`` on."""
        made = self.plan.maps[first:]
        alike = bool(made) and (made[-1].keys == use.keys or {made[-1].keys, use.keys} == {"local", "address"})
        return alike and before == self._word(made[-1].name)

    def _join(self, table: TableName, use: Use) -> None:
        made = self.plan.maps[-1]
        made.cf.append(_entry(table))
        if use.keys == "local":
            # A table that needs a domain finds no localpart alone, whatever asks it for one.
            made.keys = "local"
            self.plan.mydestination = self._local_domains

    def _tables(self, name: str, listed: list[str]) -> Iterator[tuple[str, TableName | None, Use | None, bool]]:
        """Each word with the ldap: table it names, how that is asked, and whether it joins the one before."""
        use = self._use(name)
        for place, word in enumerate(listed):
            table = self._table(word)
            if table is None:
                yield word, None, None, False
            elif place and is_access_check(listed[place - 1]):
                yield word, table, access(listed[place - 1]), False
            else:
                yield word, table, use, True

    def _table(self, word: str) -> TableName | None:
        """The ldap: table that a word names; what stands in a parameter that it names is that parameter's."""
        if not TableName.of(word).is_ldap:
            return None
        try:
            return TableName.of(macros.expand(word, self._main.written))
        except ValueError:
            return None

    def _use(self, name: str) -> Use | None:
        """How a parameter asks its tables; for one of the administrator's own, that of a parameter that names it."""
        if name == "relay_domains" and name not in words(self._main.value("parent_domain_matches_subdomains")):
            return Use("transport")
        if name in USES:
            return USES[name]
        if name in AGENTS:
            return None
        for other in USES:
            if name in macros.names(self._main.written(other) or ""):
                return USES[other]
        return None

    def _taken(self, table: TableName, use: Use) -> bool:
        """Whether a table can be a map; why its file cannot is noted."""
        if use.keys not in self._supported or (use.keys == "local" and not self._local_domains):
            return False
        if table.name not in self._usable:
            self._usable[table.name] = self._is_usable(table)
        return self._usable[table.name]

    def _narrowed(self, table: TableName | None, use: Use | None) -> Use | None:
        """How this table is asked, where users of mydestination are looked for without their domain too."""
        if table is None or use is None or use.keys not in ("local", "address"):
            return use
        try:
            found = finds_localparts(self._read(table).query)
        except (OSError, UnicodeDecodeError):
            return use
        if use.keys == "address" and found and self._local_domains:
            return replace(use, keys="local")
        return ADDRESSES if use.keys == "local" and not (found or self._local_domains) else use

    @functools.cached_property
    def _local_domains(self) -> list[str]:
        return local_domains(self._main)

    def _note_kept(self, name: str, word: str, table: TableName | None, use: Use | None) -> None:
        if table is None and _WITHIN.search(word):
            self.plan.kept.append(f"{name}: {word} stays: it is a table within another")
        elif table is not None and use is not None and use.keys == "local" and not self._local_domains:
            why = "mydestination is no plain list of domains, which vmaild must know to look for users without one"
            self.plan.kept.append(f"{name}: {table.text} stays: {why}")
        elif table is not None and (use is None or use.keys not in self._supported):
            self.plan.kept.append(f"{name}: {table.text} stays: {self._why_not(name, use)}")

    def _why_not(self, name: str, use: Use | None) -> str:
        if name in AGENTS:
            return f"{AGENTS[name]} opens it itself and refuses socketmap tables"
        if use is None:
            return "vmaild does not know what this parameter asks its tables"
        return f"vmaild does not answer the {use.keys} keys that it asks"

    def _is_usable(self, table: TableName) -> bool:
        try:
            found = self._read(table)
        except (OSError, UnicodeDecodeError) as error:
            self.plan.kept.append(f"{table.text} stays: {getattr(error, 'strerror', None) or error}")
            return False
        for parameter, text in found.warnings:
            self.plan.warnings.append(f"{table.name}: {_named(parameter, text)}")
        for parameter, text in found.problems:
            self.plan.kept.append(f"{table.text} stays: {_named(parameter, text)}")
        return not found.problems

    def _note_each_address(self, name: str, table: TableName, use: Use) -> None:
        """A table of domains that answers with every address of the domain."""
        if use is DOMAINS and _EACH_ADDRESS.search(str(self._read(table).query.get("query_filter", ""))):
            self.plan.warnings.append(
                f"{name}: {table.text} finds every address of the domain, where one is enough: 'exists = true' in the"
                " map lets the server send one, and answers for a domain of any size"
            )

    def _new_map(self, name: str, table: TableName, use: Use) -> str:
        stem = PurePath(table.name).stem if use is ACCESS or use is EXACT else name
        taken = {made.name for made in self.plan.maps}
        candidates = [stem, *(f"{stem}_{number}" for number in range(2, len(taken) + 3))]
        map_name = next(candidate for candidate in candidates if candidate not in taken)
        extension = bool(use.extension) and use.extension in words(self._main.value("propagate_unmatched_extensions"))
        if use.keys == "local":
            self.plan.mydestination = self._local_domains
        self.plan.maps.append(MapPlan(map_name, [_entry(table)], use.keys, extension, use.quoted_only))
        return self._word(map_name)

    def _word(self, map_name: str) -> str:
        return f"socketmap:{self._endpoint}:{map_name}"


def _entry(table: TableName) -> str:
    return table.name if table.is_file else f"ldap:{table.name}"


def _named(parameter: str, text: str) -> str:
    return f"{parameter}: {text}" if parameter else text
