"""What ``vmaild check`` asks of one server: can it be bound to, does it hold the base, and what is amiss there.

=============  ==============================================================================================
bind           an error when it is refused, or the server cannot be reached
base           an error when it is not there, or the account may not read it
contextCSN     its absence is a warning: changes cannot be followed (no slapo-syncprov), or the load is not done
userPassword   a warning when the account may read it: vmaild needs no password of anybody
indexes        a warning for an attribute of a filter without an equality index: read from cn=config where that
               may be read, else told by the time of a search for a value that nobody has
=============  ==============================================================================================
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import secrets
from collections.abc import AsyncIterator, Collection, Iterable
from typing import NamedTuple

from vmaild.directory.failures import in_words
from vmaild.directory.settings import DirectorySettings
from vmaild.directory.walk import WalkConnection, connected
from vmaild.errors import DirectoryFailure
from vmaild.lookup import Entry, Scope, Search
from vmaild.tables import dn

SLOW_FACTOR = 10.0
"""A search without an index reads every entry: so many times a search by DN, at least, on a directory of a size."""

SLOW_SECONDS = 0.005
"""... and longer than this, or nobody would notice."""

_ANY = "(objectClass=*)"


class Level(enum.Enum):
    """How bad a finding is."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


class Finding(NamedTuple):
    """Something seen: where, how bad it is, and in words what it means and what to do."""

    where: str
    level: Level
    text: str


async def examine(settings: DirectorySettings, uri: str, indexed: Collection[str]) -> list[Finding]:
    """What there is to say of one server. ``indexed``: lower-case names of attributes that filters search by.

    Raises OSError when a certificate file cannot be used.
    """
    found: list[Finding] = []
    try:
        async with connected(settings, uri) as connection:
            found.append(Finding(uri, Level.OK, f"bind: accepted as {settings.bind_dn or settings.bind_method}"))
            async for finding in _Examination(connection, settings, uri, indexed).findings():
                found.append(finding)
    except DirectoryFailure as error:
        what = "search" if found else "bind"
        found.append(Finding(uri, Level.ERROR, f"{what}: {in_words(error)}"))
    return found


class _Examination:
    def __init__(
        self, connection: WalkConnection, settings: DirectorySettings, uri: str, indexed: Collection[str]
    ) -> None:
        self._connection = connection
        self._settings = settings
        self._uri = uri
        self._indexed = sorted(indexed)

    async def findings(self) -> AsyncIterator[Finding]:
        """One after the other. Raises ``DirectoryFailure`` when the connection ends."""
        base = self._settings.search_base
        if not await self._search(base, Scope.BASE, _ANY):
            text = f"search_base: {base!r} is not there, or this account may not read it"
            yield self._finding(Level.ERROR, text)
            return
        yield self._finding(Level.OK, f"search_base: {base!r} is there")
        yield await self._context_csn()
        for finding in await self._index_findings():
            yield finding
        # At the end, since a walk that is left ends the connection.
        yield await self._passwords()

    async def _context_csn(self) -> Finding:
        suffix = await self._suffix()
        entries = await self._tolerant(suffix, Scope.BASE, _ANY, "contextCSN")
        values = entries[0].values("contextcsn") if entries else ()
        if not values:
            text = (
                f"contextCSN: {suffix!r} shows none, so changes cannot be followed: load slapo-syncprov, and let this"
                " account read the attribute; on a consumer, wait for its first load"
            )
            return self._finding(Level.WARNING, text)
        return self._finding(Level.OK, f"contextCSN: {values[0].decode(errors='replace')}")

    async def _suffix(self) -> str:
        """The suffix of the database that holds the search base; the base itself when that is not told."""
        base = self._settings.search_base
        entries = await self._tolerant("", Scope.BASE, _ANY, "namingContexts")
        for value in entries[0].values("namingcontexts") if entries else ():
            suffix = value.decode(errors="replace")
            if _below(base, suffix):
                return suffix
        return base

    async def _passwords(self) -> Finding:
        seconds = self._settings.timeout
        search = Search(self._settings.search_base, Scope.SUB, "(userPassword=*)", ("userPassword",))
        shown: list[Entry] = []
        try:
            async with (
                asyncio.timeout(seconds),
                contextlib.aclosing(self._connection.pages(search, 1, seconds)) as pages,
            ):
                shown = await anext(pages, [])
        except (DirectoryFailure, TimeoutError) as error:
            return self._finding(Level.WARNING, f"userPassword: who can read it is not known: {error or 'no answer'}")
        if any(entry.values("userpassword") for entry in shown):
            text = (
                f"userPassword: this account reads it ({shown[0].dn}); vmaild needs no password: restrict it in slapd's"
                " access rules"
            )
            return self._finding(Level.WARNING, text)
        return self._finding(Level.OK, "userPassword: this account does not read it")

    async def _index_findings(self) -> list[Finding]:
        known = await self._configured_indexes()
        if known is not None:
            missing = [name for name in self._indexed if name not in known]
            if not missing:
                return [self._finding(Level.OK, f"indexes: eq on {', '.join(self._indexed)} (cn=config)")]
            return [
                self._finding(Level.WARNING, f"indexes: none of kind eq on {name}: add 'olcDbIndex: {name} eq'")
                for name in missing
            ]
        return await self._timed_indexes()

    async def _configured_indexes(self) -> set[str] | None:
        """The attributes with an equality index, None when cn=config does not say."""
        entries = await self._tolerant("cn=config", Scope.SUB, "(olcSuffix=*)", "olcSuffix", "olcDbIndex")
        base = self._settings.search_base
        for entry in entries:
            if any(_below(base, value.decode(errors="replace")) for value in entry.values("olcsuffix")):
                return equality_indexes(value.decode(errors="replace") for value in entry.values("olcdbindex"))
        return None

    async def _timed_indexes(self) -> list[Finding]:
        base = self._settings.search_base
        quick = await self._best_time(base, Scope.BASE, _ANY)
        slow: dict[str, float] = {}
        for name in self._indexed:
            # Of objectClass no value is rare for certain, and slapd takes an unknown class for one that nobody has.
            if name == "objectclass":
                continue
            took = await self._best_time(base, Scope.SUB, _of_nobody(name))
            if took > max(quick * SLOW_FACTOR, SLOW_SECONDS):
                slow[name] = took
        if not slow:
            text = "indexes: cn=config may not be read; by their time, no search goes without one"
            return [self._finding(Level.OK, text)]
        return [
            self._finding(
                Level.WARNING,
                f"indexes: likely none on {name} ({took * 1000:.0f} ms to find nobody): add 'index {name} eq'",
            )
            for name, took in slow.items()
        ]

    async def _best_time(self, base: str, scope: Scope, filter_text: str) -> float:
        loop = asyncio.get_running_loop()
        times = []
        for _ in range(3):
            began = loop.time()
            await self._tolerant(base, scope, filter_text)
            times.append(loop.time() - began)
        return min(times)

    async def _tolerant(self, base: str, scope: Scope, filter_text: str, *attributes: str) -> list[Entry]:
        """The entries, none when the server refuses. Raises ``DirectoryFailure`` when the connection ends."""
        try:
            return await self._search(base, scope, filter_text, *attributes)
        except DirectoryFailure:
            if self._connection.dead:
                raise
            return []

    async def _search(self, base: str, scope: Scope, filter_text: str, *attributes: str) -> list[Entry]:
        end = asyncio.get_running_loop().time() + self._settings.timeout
        return await self._connection.search(Search(base, scope, filter_text, attributes), end)

    def _finding(self, level: Level, text: str) -> Finding:
        return Finding(self._uri, level, text)


def equality_indexes(values: Iterable[str]) -> set[str]:
    """Lower-case names of the attributes with an equality index, from olcDbIndex values (slapd-mdb(5), index)."""
    found: set[str] = set()
    default: set[str] = set()
    for value in values:
        names, _, kinds = value.strip().partition(" ")
        wanted = set(kinds.replace(",", " ").lower().split())
        if names.lower() == "default":
            default = wanted
        elif "eq" in (wanted or default):
            found.update(name.partition(";")[0].lower() for name in names.split(","))
    return found


def _of_nobody(name: str) -> str:
    """A filter for values that nobody has, one of which is well formed whatever the syntax: text, number or DN.

    For a value that is malformed the server reads no entry, which says nothing about its indexes.
    """
    number = secrets.randbelow(10**8) + 2 * 10**9
    return f"(|({name}=vmaild-check-{number})({name}={number})({name}=cn=vmaild-check-{number}))"


def _below(base: str, suffix: str) -> bool:
    try:
        return dn.under(dn.parse(base), dn.parse(suffix))
    except ValueError:
        return False
