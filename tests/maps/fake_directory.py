"""A directory in memory: a tree and a schema that decide what a search finds, and a server that can be slow or fail."""

from __future__ import annotations

import asyncio
import functools
import re
from collections.abc import Callable, Iterable

from vmaild.directory import NO_BASE, Ended, Found
from vmaild.errors import DirectoryFailure
from vmaild.lookup import Entry, Scope, Search
from vmaild.tables import Schema

BASE = "o=hosting,dc=x"
DOMAIN = f"o=d.example,{BASE}"

_TYPES = ("mail", "mailbox", "maildrop", "uidNumber", "gidNumber", "o", "cn", "dc")
_CLASSES = ("organization", "courierMailAccount", "courierMailAlias", "organizationalRole")


def new_schema(*more: bytes) -> Schema:
    """The schema of one server, with more attribute types at need."""
    types = [
        b"( 1.1.%d NAME '%s' EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )" % (n, name.encode())
        for n, name in enumerate(_TYPES)
    ]
    types.append(b"( 1.2.1 NAME 'objectClass' EQUALITY objectIdentifierMatch )")
    types.append(b"( 1.2.2 NAME 'roleOccupant' EQUALITY distinguishedNameMatch )")
    types += more
    return Schema(types, [b"( 1.3.%d NAME '%s' STRUCTURAL )" % (n, name.encode()) for n, name in enumerate(_CLASSES)])


def entry(dn: str, kind: str, **values: tuple[str, ...]) -> Entry:
    """An entry with lower-case attribute names; an attribute without values is left out."""
    attributes = {name.lower(): tuple(value.encode() for value in some) for name, some in values.items() if some}
    return Entry(dn, {"objectclass": (kind.encode(),), **attributes})


def account(mail: str, *mailboxes: str, name: str = "") -> Entry:
    domain = mail.rpartition("@")[2]
    dn = f"mail={name or mail},o={domain},{BASE}"
    return entry(dn, "courierMailAccount", mail=(mail,), mailbox=mailboxes)


def alias(mail: str, *maildrops: str, name: str = "") -> Entry:
    domain = mail.rpartition("@")[2]
    return entry(f"mail={name or mail},o={domain},{BASE}", "courierMailAlias", mail=(mail,), maildrop=maildrops)


def role(domain: str, *occupants: str) -> Entry:
    dn = f"cn=postmaster,o={domain},{BASE}"
    return entry(dn, "organizationalRole", cn=("postmaster",), roleOccupant=occupants)


Match = Callable[[Entry], bool]


@functools.lru_cache(10_000)
def parse_filter(text: str) -> Match:
    """What decides ``text``, a filter of ``& | !``, equality and presence, as a server does."""
    match, end = _parse(text, 0)
    assert end == len(text)
    return match


def _parse(text: str, at: int) -> tuple[Match, int]:
    assert text[at] == "("
    operator = text[at + 1]
    if operator not in "&|!":
        end = text.index(")", at)
        name, _, value = text[at + 1 : end].partition("=")
        return _equal(name.lower(), value), end + 1
    parts: list[Match] = []
    at += 2
    while text[at] == "(":
        part, at = _parse(text, at)
        parts.append(part)
    if operator == "!":
        return lambda one: not parts[0](one), at + 1
    all_or_any = all if operator == "&" else any
    return lambda one: all_or_any(part(one) for part in parts), at + 1


def _equal(name: str, value: str) -> Match:
    if value == "*":
        return lambda one: bool(one.values(name))
    text = re.sub(r"\\([0-9A-Fa-f]{2})", lambda hexadecimal: chr(int(hexadecimal[1], 16)), value)
    wanted = text.encode("latin-1").lower()
    return lambda one: wanted in [each.lower() for each in one.values(name)]


def evaluate(tree: Iterable[Entry], search: Search) -> list[Entry] | DirectoryFailure:
    """What a server with this tree answers. Domains need no entry."""
    match = parse_filter(search.filter)
    base, shown = search.base.lower(), [name.lower() for name in search.attributes]
    found, base_is_there = [], base.startswith("o=") or search.scope is not Scope.BASE
    for one in tree:
        dn = one.dn.lower()
        base_is_there = base_is_there or dn == base
        within = dn == base if search.scope is Scope.BASE else dn == base or dn.endswith(f",{base}")
        if within and match(one):
            found.append(Entry(one.dn, {name: one.attributes[name] for name in shown if name in one.attributes}))
    if search.base_exists and not base_is_there:
        return DirectoryFailure(f"there is no {search.base!r}", NO_BASE)
    return found


class FakeDirectory:
    """Answers from ``entries`` after ``takes`` seconds, or fails with ``failure``."""

    def __init__(self) -> None:
        self.schema: Schema | None = new_schema()
        self.entries: list[Entry] = []
        self.takes = 0.0
        self.search_time = 0.0
        self.failure: DirectoryFailure | None = None
        self.bug: Exception | None = None
        self.searches: list[Search] = []
        self.ends: list[float] = []

    @property
    def asked(self) -> int:
        return len(self.searches)

    def begin(self, search: Search, end: float, done: Callable[[Ended], None]) -> None:
        self.searches.append(search)
        self.ends.append(end)
        if self.bug is not None:
            raise self.bug
        loop = asyncio.get_running_loop()
        now = loop.time()
        outcome = self.failure or evaluate(self.entries, search)
        takes = self.takes
        if now + takes > end:
            outcome, takes = DirectoryFailure("no answer in time", "timeout"), end - now
        how = outcome if isinstance(outcome, DirectoryFailure) else Found(outcome, now, self.schema)
        if takes:
            loop.call_later(takes, done, how)
        else:
            done(how)
