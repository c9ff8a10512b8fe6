"""One lookup explained: the key asked past the cache, with every search as it was sent and what it brought.

What a client would get may differ: a record that is still good serves without a search. So the explanation has
both, the directory's word of this moment and what the cache holds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from vmaild.cache import Record
from vmaild.directory import Ended, Found
from vmaild.errors import DataError
from vmaild.lookup import NOT_FOUND, Entry, Reply, Search, Status
from vmaild.maps.flight import Searcher
from vmaild.maps.maps import Map, Maps
from vmaild.tables import Schema, address


@dataclass(slots=True)
class Sent:
    """One search as it was sent; ``entries`` or ``failure`` is what came of it, after ``seconds``."""

    search: Search
    entries: list[Entry] = field(default_factory=list)
    failure: str = ""
    seconds: float = 0.0


@dataclass(slots=True)
class Explanation:
    """How the directory answers one key of one map now.

    ``reply`` is None when the lookup failed; ``failure`` says why, in words for the administrator. ``decided`` is the
    search key, the query's number (from 1) and the DN of the first entry that made the answer, None where none did.
    ``canary`` names the canaries that are missing, for which "not found" becomes TEMP. ``record`` is what the cache
    held before.
    """

    map: Map
    key: str
    folded: str = ""
    search_keys: list[str] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)
    reply: Reply | None = None
    failure: str = ""
    guarded: bool = False
    decided: tuple[str, int, str] | None = None
    canary: tuple[str, ...] = ()
    record: Record | None = None
    warnings: list[str] = field(default_factory=list)


class _Watched:
    """The directory, with a note of each search that goes through it."""

    def __init__(self, directory: Searcher) -> None:
        self._directory = directory
        self.sent: list[Sent] = []

    @property
    def schema(self) -> Schema | None:
        return self._directory.schema

    @property
    def search_time(self) -> float:
        return self._directory.search_time

    def begin(self, search: Search, end: float, done: Callable[[Ended], None]) -> object:
        note = Sent(search)
        self.sent.append(note)
        began = time.monotonic()

        def ended(how: Ended) -> None:
            note.seconds = time.monotonic() - began
            what = how.entries if isinstance(how, Found) else how
            if isinstance(what, list):
                note.entries = what
            else:
                note.failure = str(what)
            done(how)

        return self._directory.begin(search, end, ended)


async def explain(maps: Maps, entry: Map, key: str) -> Explanation:
    """Look ``key`` up in the map now. Does not raise for what a lookup may meet."""
    found = Explanation(entry, key, canary=maps.canaries.missing.get(entry.name, ()))
    folded = address.fold(key.encode(errors="surrogateescape"))
    if not folded:
        found.reply, found.failure = NOT_FOUND, "an empty key, or one with a NUL or not UTF-8, is never asked for"
        return found
    found.folded = folded.decode()
    found.record = maps.record(entry, folded)
    watched = _Watched(entry.directory or maps.directory)
    flight = await maps.fly(entry, folded, watched)
    found.sent = watched.sent
    if flight.failure is not None:
        found.failure = str(flight.failure)
        return found
    lookup = flight.lookup
    found.search_keys = [parts.text for parts in lookup.search_keys]
    found.warnings = list(lookup.warnings)
    settled = lookup.settle(entry.place)
    if isinstance(settled, DataError):
        found.failure, found.guarded = str(settled), True
    elif isinstance(settled, Reply):
        found.reply = settled
        if settled.status is not Status.FOUND and found.canary:
            found.failure = f"not found, but the canary {', '.join(found.canary)} is missing: answered TEMP"
    step = lookup.decided(entry.place)
    if step is not None:
        entries = next(entries for one, entries in lookup.steps(entry.place) if one is step)
        queries = entry.group.tables[entry.place].queries
        number = next(number for number, query in enumerate(queries, 1) if query is step.query)
        found.decided = (
            lookup.search_keys[step.key].text,
            number,
            entries[0].dn if isinstance(entries, list) and entries else "",
        )
    return found
