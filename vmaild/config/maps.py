"""``[maps.NAME]`` tables and the preset, into the tables that answer lookups.

Keys that ldap_table(5) knows have its names and meaning. They describe a query; ``[[maps.NAME.query]]`` gives a map
several. In a map that a preset defines, such keys change its first query, and ``[[maps.NAME.query]]`` replaces them
all. ``cf = [...]`` takes the queries from ldap_table(5) files instead, one from each (``vmaild.config.table_files``).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vmaild.config import keys
from vmaild.config.canaries import read_canaries
from vmaild.config.domain_list import read_domain_list
from vmaild.config.section import Problems, Section
from vmaild.config.table_files import Directories, directory_settings, read_entries, read_tables
from vmaild.directory.settings import MAX_VALUES
from vmaild.lookup import Scope
from vmaild.postfix.domains import DomainList
from vmaild.postfix.files import CONFIG_DIRECTORY
from vmaild.postfix.filters import canonical
from vmaild.postfix.ldap_cf import DEFAULT_FILTER
from vmaild.tables import dn
from vmaild.tables.filter import FilterTemplate
from vmaild.tables.presets import PRESETS
from vmaild.tables.query import Query
from vmaild.tables.results import Expansion
from vmaild.tables.table import KEYS, Group, Table, TableSettings
from vmaild.tables.template import Template

_PART = re.compile("%.")
"""A part of a template that stands for something of the key."""

DEFAULT_RESULT_ATTRIBUTE = ("maildrop",)
"""ldap_table(5): result_attribute's default, also beside other lists."""

_ATTRIBUTE_LISTS = (
    "result_attribute",
    "special_result_attribute",
    "leaf_result_attribute",
    "terminal_result_attribute",
)
_LIMITS = ("size_limit", "expansion_limit", "recursion_limit")
_FLAGS = ("propagate_extension", "unique", "quoted_only", "mailbox_guard")


@dataclass(frozen=True, slots=True)
class Common:
    """What every map of a file shares."""

    search_base: str
    recipient_delimiter: str = ""
    owner_request_special: bool = True
    mydestination: frozenset[str] = frozenset()
    """The domains of ``[postfix] mydestination``, lower case."""
    home: Path = Path()
    """What relative paths of table files are relative to."""
    postfix: Path = CONFIG_DIRECTORY
    """Where the main.cf is that ``cf = ["ldap:NAME"]`` means."""


@dataclass(frozen=True, slots=True)
class MapSet:
    """The tables of a configuration by lower-case name, in groups that share a record, and the canaries of each."""

    tables: Mapping[str, Table]
    groups: tuple[Group, ...]
    canaries: Mapping[str, tuple[str, ...]]
    directories: Directories = field(default_factory=Directories)
    """Where maps made of table files are asked; all others are asked in ``[directory]``."""


def read_maps(
    preset: str, values: object, common: Common, problems: Problems, directories: Directories | None = None
) -> MapSet:
    """The maps of the preset with those of the file over them. What is wrong is noted in ``problems``.

    The directories that table files ask are added to ``directories``.
    """
    written = Section(values, "maps", problems).values
    merged = merge(PRESETS[preset](common.search_base) if preset in PRESETS else {}, written)
    tables: dict[str, Table] = {}
    canaries: dict[str, tuple[str, ...]] = {}
    records: dict[str, list[tuple[Section, Table]]] = {}
    directories = Directories() if directories is None else directories
    sections = {name: Section(value, f"maps.{name}", problems) for name, value in merged.items()}
    for name, section in sections.items():
        _check_name(name, section, tables)
        table = tables[name.lower()] = _table(name.lower(), section, common, directories)
        canaries[name.lower()] = read_canaries(section)
        # No record of the file's can have the name of one that a map has to itself.
        records.setdefault(section.string("record") or f" {name}", []).append((section, table))
    if not tables:
        problems.add("", "maps", "no map is defined: set preset, or add a [maps.NAME] table")
    groups = tuple(_group(members) for members in records.values())
    return MapSet(tables, groups, canaries, directories)


def _group(members: list[tuple[Section, Table]]) -> Group:
    first = members[0][1]
    for section, table in members[1:]:
        for key in ("keys", "quoted_only"):
            if (other := getattr(first.settings, key)) != getattr(table.settings, key):
                section.problem("record", f"map {first.name!r} of the same record has {key} = {other!r}")
    return Group([table for _, table in members])


def merge(preset: Mapping[str, Any], written: Mapping[str, Any]) -> dict[str, Any]:
    """The preset's maps with the file's keys over them."""
    merged = dict(preset)
    for name, values in written.items():
        below = merged.get(name)
        if below is None or not isinstance(values, Mapping):
            merged[name] = values
            continue
        query = {key: value for key, value in values.items() if key in keys.QUERY}
        rest = {key: value for key, value in values.items() if key not in keys.QUERY}
        if "query" in below and query and "query" not in rest:
            first, *others = below["query"]
            rest["query"] = [{**first, **query}, *others]
            query = {}
        gone: Collection[str] = keys.QUERY if "query" in rest else ()
        if "cf" in rest:
            # Table files have all queries, and answer no other map of the preset's record.
            gone = (*keys.QUERY, "query", "record")
        kept = {key: value for key, value in below.items() if key not in gone}
        merged[name] = {**kept, **query, **rest}
    return merged


def _check_name(name: str, section: Section, tables: Mapping[str, Table]) -> None:
    if not name or not name.isascii() or any(not 32 < ord(letter) < 127 for letter in name):
        section.problem("", "a map's name is printable ASCII without spaces")
    elif name.lower() in tables:
        section.problem("", "the same name is here twice; letter case is not significant")


def _table(name: str, section: Section, common: Common, directories: Directories) -> Table:
    table = _read_table(name, section, common, directories)
    if table.settings.keys == "local" and not common.mydestination:
        section.problem("keys", "'local' needs [postfix] mydestination")
    if not section.flag("exists"):
        return table
    exists = Expansion((), exists=True)
    return Table(name, [replace(query, expansion=exists, size_limit=0) for query in table.queries], table.settings)


def _read_table(name: str, section: Section, common: Common, directories: Directories) -> Table:
    section.only((*keys.MAP, *keys.QUERY))
    settings = TableSettings(
        keys=section.choice("keys", KEYS) or "address",
        recipient_delimiter=common.recipient_delimiter,
        owner_request_special=common.owner_request_special,
        local_domains=common.mydestination,
        **{flag: section.flag(flag) or False for flag in _FLAGS},
    )
    if "cf" in section:
        return Table(name, _file_queries(name, section, common, directories), settings)
    written = section.values.get("query")
    if written is None:
        return Table(name, [q] if (q := _query(section, common, directories)) else [], settings)
    for key in keys.QUERY:
        if key in section:
            section.problem(key, "must be in one of the map's [[query]] tables")
    if not isinstance(written, list) or not written:
        section.problem("query", "must be a list of tables")
        return Table(name, [], settings)
    queries = []
    for number, value in enumerate(written, 1):
        part = Section(value, f"{section.name}.query {number}", section.problems)
        part.only(keys.QUERY)
        queries.append(_query(part, common, directories))
    return Table(name, [query for query in queries if query], settings)


def _file_queries(name: str, section: Section, common: Common, directories: Directories) -> list[Query]:
    """The queries of the map's table files; the directory of each is noted in ``directories``."""
    for key in (*keys.QUERY, "query"):
        if key in section:
            section.problem(key, "and cf are mutually exclusive: the table files have the query")
    queries = []
    for table in read_entries(section, common.home, common.postfix):
        if table.query:
            part = Section(table.query, f"{section.name}.cf {table.name}", section.problems)
            number = directories.add(name, directory_settings(section, table, directories.bounds))
            query = _query(part, common, directories)
            queries += [replace(query, directory=number)] if query else []
    return queries


def _query(section: Section, common: Common, directories: Directories) -> Query | None:
    """One query; None when it cannot be used, which has been noted then."""
    base = _search_base(section, common)
    text = section.string("query_filter")
    if text is None and "query_filter" not in section:
        # A misspelt name of a preset's map would be a map of its own.
        section.problem("query_filter", f"is missing; write {DEFAULT_FILTER!r} for the default of ldap_table(5)")
    query_filter = None
    try:
        query_filter = FilterTemplate(canonical(text)) if text is not None else None
    except ValueError as error:
        section.problem("query_filter", f"{text!r}: {error}")
    expansion = _expansion(section, directories.bounds.get("max_values", MAX_VALUES) // 2)
    limit = _limit(section, "size_limit" if "size_limit" in section else "expansion_limit")
    scope = Scope(section.choice("scope", [scope.value for scope in Scope]) or "sub")
    domain, localpart = read_domain_list(section), _lower(section, "localpart")
    if base is None or query_filter is None or expansion is None:
        return None
    return Query(
        *(base, scope, query_filter, expansion, frozenset(domain.names), frozenset(localpart), limit or 0),
        excluded=frozenset(domain.excluded),
        domain_tables=_domain_tables(section, domain, common, directories),
        require_result=section.flag("require_result") or False,
        ignore_referrals=section.flag("ignore_referrals") or False,
    )


def _expansion(section: Section, most_values: int) -> Expansion | None:
    lists: dict[str, Any] = {key: _lower(section, key) for key in _ATTRIBUTE_LISTS if key in section}
    lists.setdefault("result_attribute", DEFAULT_RESULT_ATTRIBUTE)
    result_format = _template(section, "result_format" if "result_format" in section else "result_filter", "%s")
    limits: dict[str, Any] = {key: value for key in _LIMITS[1:] if (value := _limit(section, key)) is not None}
    if limits.get("recursion_limit") == 0:
        section.problem("recursion_limit", "must be at least 1")
    one = section.flag("one_value_per_entry") or False
    if result_format is None:
        return None
    limits["most_values"] = most_values
    return Expansion(**lists, **limits, result_format=result_format, one_value_per_entry=one)


def _search_base(section: Section, common: Common) -> Template | None:
    template = _template(section, "search_base", common.search_base.replace("%", "%%"))
    text = section.string("search_base")
    # A preset's bases end in the common one, which has its own problem then.
    if template is not None and text and _is_dn(common.search_base) and not _is_dn(_PART.sub("x", text)):
        section.problem("search_base", f'{text!r} is no DN: write attribute=value pairs such as "o=%d,o=hosting"')
    return template


def _is_dn(text: str) -> bool:
    try:
        dn.parse(text)
    except ValueError:
        return False
    return True


def _domain_tables(
    section: Section, domains: DomainList, common: Common, directories: Directories
) -> tuple[Query, ...]:
    """The tables in a ``domain`` list."""
    found = []
    for table in read_tables(section, "domain", domains.tables, common.home, common.postfix):
        part = Section(table.query, f"{section.name}.domain {table.name}", section.problems)
        if "domain" in part:
            part.problem("domain", "a table with a domain list finds no bare domain; take the list out of it")
        elif table.query and (query := _query(part, common, directories)) is not None:
            number = directories.number(directory_settings(section, table, directories.bounds, "domain"))
            found.append(replace(query, directory=number))
    return tuple(found)


def _template(section: Section, key: str, default: str) -> Template | None:
    text = section.string(key)
    try:
        return Template(default if text is None else text)
    except ValueError as error:
        section.problem(key, f"{text!r}: {error}")
        return None


def _limit(section: Section, key: str) -> int | None:
    value = section.integer(key)
    if value is not None and value < 0:
        section.problem(key, "must not be negative")
        return None
    return value


def _lower(section: Section, key: str) -> tuple[str, ...]:
    return tuple(word.lower() for word in section.words(key) or ())
