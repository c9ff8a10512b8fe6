"""An ldap_table(5) source as vmaild's own settings: the query, and the directory that it is asked in.

``read_source`` maps each parameter, or names it: in ``problems`` what cannot be kept, with the reason (the table must
not be used then), in ``warnings`` what is kept but should be checked. ``query`` has the keys of a
``[[maps.NAME.query]]`` table, ``directory`` those of ``[directory]``; defaults are Postfix's and written out.

Some defaults of Postfix that surprise: ``result_attribute`` is ``maildrop`` also beside other lists, ``size_limit`` is
``expansion_limit``, ``tls_require_cert`` is no, ``bind`` is yes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vmaild.postfix.directory_cf import read_directory
from vmaild.postfix.domains import OpenFile, read_domains
from vmaild.postfix.filters import canonical
from vmaild.postfix.parameters import Source
from vmaild.postfix.tables import words

DEFAULT_FILTER = "(mailacceptinggeneralid=%s)"
SCOPES = ("sub", "base", "one")

_ATTRIBUTES = (
    "result_attribute",
    "special_result_attribute",
    "leaf_result_attribute",
    "terminal_result_attribute",
)
_DYNAMIC = re.compile(r"%[^%]")
_RDN = re.compile(r"(?:\\.|[^\\,])*", re.DOTALL)

Notes = tuple[tuple[str, str], ...]
"""(parameter, what is to be said of it), each."""


@dataclass(frozen=True, slots=True)
class LdapTable:
    """One source: ``name`` as main.cf has it behind ``ldap:``, a path or the name of parameters in main.cf."""

    name: str
    query: Mapping[str, Any]
    directory: Mapping[str, Any]
    problems: Notes = ()
    warnings: Notes = ()


def read_source(name: str, values: Mapping[str, str], open_file: OpenFile, *, literal: bool = True) -> LdapTable:
    """The table that the parameters ``values`` describe; ``literal`` tells that they stand in a file of their own."""
    source = Source(values, literal)
    source.note_unknown()
    query = _query(source, open_file)
    directory = read_directory(source)
    directory["search_base"] = static_base(query["search_base"])
    return LdapTable(name, query, directory, tuple(source.problems), tuple(source.warnings))


def static_base(search_base: str) -> str:
    """The part of a search base that stands there whatever the key: the RDNs behind the last one with a ``%``."""
    rdns: list[str] = []
    at = 0
    while at <= len(search_base):
        match = _RDN.match(search_base, at)
        assert match is not None
        rdns.append(match[0])
        at = match.end() + 1
    kept: list[str] = []
    for rdn in reversed(rdns):
        if _DYNAMIC.search(rdn.replace("%%", "")):
            break
        kept.insert(0, rdn)
    return ",".join(kept).replace("%%", "%").strip()


def _query(source: Source, open_file: OpenFile) -> dict[str, Any]:
    query: dict[str, Any] = {
        "search_base": source.text("search_base"),
        "scope": _scope(source),
        "query_filter": canonical(source.text("query_filter", DEFAULT_FILTER)),
        "result_format": _format(source),
        "ignore_referrals": True,
    }
    for name in _ATTRIBUTES:
        listed = words(source.text(name, "maildrop" if name == "result_attribute" else ""))
        if listed or name == "result_attribute":
            query[name] = listed
    query |= _limits(source)
    domains = read_domains(source.text("domain"), open_file)
    source.problems += [("domain", text) for text in domains.problems]
    source.warnings += [("domain", text) for text in domains.warnings]
    if domains.limited:
        query["domain"] = domains.words
    return query


def _scope(source: Source) -> str:
    scope = source.text("scope", "sub").lower()
    if scope not in SCOPES:
        source.warn("scope", f"{scope!r} is not one of {', '.join(SCOPES)}; Postfix and vmaild take sub")
        return "sub"
    return scope


def _format(source: Source) -> str:
    """result_format, or by its old name; a result_format that is set to nothing counts as not set."""
    if text := source.text("result_format"):
        if "result_filter" in source.values:
            source.warn("result_filter", "has no effect beside result_format, its new name")
        return text
    text = source.text("result_filter", "%s")
    if not text:
        source.problem("result_filter", "is empty; Postfix stops there")
    return text or "%s"


def _limits(source: Source) -> dict[str, int]:
    expansion = source.integer("expansion_limit", 0)
    return {
        "recursion_limit": source.integer("recursion_limit", 1000, least=1),
        "expansion_limit": expansion,
        "size_limit": source.integer("size_limit", expansion),
    }
