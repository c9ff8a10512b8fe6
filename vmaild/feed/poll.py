"""Hears of changes by asking once a second: the suffix's ``contextCSN``, and what was written since it moved.

``(entryCSN>=last)`` names the entries that were added and changed, not those that were deleted, nor what vmaild may not
read. When nothing is found that has the new CSN, everything is aged (``Freshness.age_all``). A deletion just before
another change within the same second cannot be told from that change alone: so what is known is aged every ``DOUBT``
seconds in which there was a change, which is no more load than ``ttl`` makes.

It asks on a connection of its own, where entries come one by one, each in a turn of the loop: a pool's connection reads
an answer at once, and 500 entries, thrown away or not, held every cached answer for 12 ms. What was written in a second
comes all at once here, where a stream has it as it happens: so there are pauses, and a bulk load is read for as long as
it takes to be written. A few entries are read at once. Past ``MOST`` entries, or the server's own limit, which slapd
keeps to whatever is asked for, everything is aged.

Where an entry that has others below it is written, they may have moved with it, which ages everything too. Not so where
it was created since the last poll: what is below it was created or moved there since then, and is named itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence

from vmaild.cache.dependents import uuid_in
from vmaild.directory import Cookie, ReadEntry, Refused, SearchEntry, SyncSearch, at_least, read_cookie
from vmaild.errors import DirectoryFailure
from vmaild.maps import Freshness

INTERVAL = 1.0
"""Seconds from one poll to the next: one read of one entry. It counts from the poll's beginning: what is written while
much is read is not to make the next one longer."""

LEAST_WAIT = 0.1
"""Seconds between two polls where reading takes longer than ``INTERVAL``."""

MOST = 10_000
"""Entries that were written between two polls: a second of work, and more than slapd writes in one."""

READ_SECONDS = 20.0
"""Longest time in which they are read: 500 a second."""

TOGETHER = 16
"""Entries between two pauses, each in a turn of the loop of its own: 0.05 ms of work. Five in a turn made the p99 of
hits beside a bulk load 2.9 times as long, one 1.4 times."""

PAUSE = 0.001
"""Seconds without work after so many. That leaves more than half of the loop's time, and 8,500 entries are read in a
second; slapd was seen to write 6,700. With a pause after each fourth, reading fell behind until all was aged."""

SHARE = 0.1
"""Of the time that the others took for their turn, as much for entries at least: on a loop that is never idle one entry
in a turn would be too few to keep up."""

DOUBT = 300.0
"""Seconds after which a deletion that was hidden by another change has no more effect: the default ``ttl``."""

LIMITS = frozenset({3, 4, 11})
"""LDAP results of a search that found more than the server gives (RFC 4511, appendix A.2)."""

Find = Callable[[SyncSearch], AsyncIterator[SearchEntry]]


class Poll:
    """``read`` and ``find`` ask the server in use. ``last`` is the state up to which everything is known, ``doubt_at``
    when everything is aged next, since a deletion may have been hidden."""

    def __init__(
        self,
        freshness: Freshness,
        read: ReadEntry,
        find: Find,
        base: str,
        suffix: str,
        last: Cookie,
        doubt_at: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._freshness = freshness
        self._read = read
        self._find = find
        self._base = base
        self._suffix = suffix
        self._clock = clock
        self._turn_ends = 0.0
        self.last = last
        self.doubt_at = doubt_at

    async def run(self) -> None:
        """Poll until the server fails: raises what ``read`` and ``find`` raise, ``TimeoutError``,
        ``DirectoryFailure``, and ``ValueError`` for what is no CSN."""
        while True:
            began = self._clock()
            await self.once(began)
            await asyncio.sleep(max(LEAST_WAIT, began + INTERVAL - self._clock()))

    async def once(self, now: float) -> None:
        """One poll."""
        context = await read_cookie(self._read, self._suffix)
        if context is None:
            raise DirectoryFailure("contextCSN is gone", "suffix")
        if self.last.is_behind(context):
            async with asyncio.timeout(READ_SECONDS):
                await self._catch_up(context)
            if self.doubt_at is None:
                self.doubt_at = now + DOUBT
        if self.doubt_at is not None and now >= self.doubt_at:
            self.doubt_at = None
            self._freshness.age_all()
        self.last = self.last.merged(context)

    async def _catch_up(self, context: Cookie) -> None:
        moved = [sid for sid, csn in context.csns.items() if self.last.csns.get(sid) != csn]
        if any(sid not in self.last.csns for sid in moved):
            self._freshness.age_all()
            return
        since = min(str(self.last.csns[sid]) for sid in moved)
        latest = max(csn.time for csn in self.last.csns.values())
        wanted = tuple(dict.fromkeys((*self._freshness.heard_attributes, "entrycsn", "createtimestamp")))
        search = SyncSearch(self._base, at_least("entryCSN", since.encode()), wanted, size_limit=MOST)
        missing = {str(context.csns[sid]).encode() for sid in moved}
        count = 0
        try:
            async for entry in self._find(search):
                missing.difference_update(self._take(entry, latest))
                count += 1
                await self._yield_after(count)
        except Refused as refused:
            if refused.code not in LIMITS:
                raise
            self._freshness.age_all()
            return
        if missing:
            self._freshness.age_all()

    async def _yield_after(self, count: int) -> None:
        """Let the others have their turn, after each entry as a rule."""
        if count % TOGETHER == 0:
            await asyncio.sleep(PAUSE)
        elif (began := self._clock()) >= self._turn_ends:
            await asyncio.sleep(0)
            now = self._clock()
            self._turn_ends = now + SHARE * (now - began)

    def _take(self, entry: SearchEntry, latest: str) -> tuple[bytes, ...]:
        """Tell of an entry that was written since ``latest``; returns its CSN."""
        attributes = dict(entry.attributes or {})
        written = attributes.pop("entrycsn", ())
        created = attributes.pop("createtimestamp", ())
        uuid = uuid_in(attributes.get("entryuuid", ()))
        if uuid is None:
            self._freshness.age_all()
            return written
        self._freshness.changed(entry.dn, uuid, attributes, added=False, created=_is_later(created, latest))
        return written


def _is_later(created: Sequence[bytes], latest: str) -> bool:
    """Whether a createTimestamp is of a later second than ``latest``, the time of the last CSN of any server.

    So it is none that was known before, whatever its server's clock.
    """
    return len(created) == 1 and created[0][:14].isdigit() and created[0][:14].decode() > latest[:14]
