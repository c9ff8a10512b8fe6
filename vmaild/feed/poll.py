"""Hears of changes by asking once a second: the suffix's ``contextCSN``, and what was written since it moved.

``(entryCSN>=last)`` names the entries that were added and changed, not those that were deleted, nor what vmaild may not
read. When nothing is found that has the new CSN, everything is aged (``Freshness.age_all``). A deletion just before
another change within the same second cannot be told from that change alone: so what is known is aged every ``DOUBT``
seconds in which there was a change, which is no more load than ``ttl`` makes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence

from vmaild.cache.dependents import uuid_in
from vmaild.directory import Cookie, read_cookie
from vmaild.errors import DataError, DirectoryFailure
from vmaild.lookup import Entry, Scope, Search
from vmaild.maps import Freshness

logger = logging.getLogger("vmaild.feed")

INTERVAL = 1.0
"""Seconds between two polls: one read of one entry."""

MOST = 500
"""Entries that were written between two polls; with more everything is aged. slapd's own ``sizelimit`` by default."""

DOUBT = 300.0
"""Seconds after which a deletion that was hidden by another change has no more effect: the default ``ttl``."""

TOGETHER = 10
"""Entries that are told in a turn of the loop: a millisecond at most."""

Find = Callable[[Search], Awaitable[list[Entry]]]


class Poll:
    """``find`` makes one search on the server in use. ``last`` is the state up to which everything is known."""

    def __init__(self, freshness: Freshness, find: Find, base: str, suffix: str, last: Cookie) -> None:
        self._freshness = freshness
        self._find = find
        self._base = base
        self._suffix = suffix
        self._doubt_at: float | None = None
        self.last = last

    async def run(self, clock: Callable[[], float]) -> None:
        """Poll until the server fails: raises ``DirectoryFailure``, and ``ValueError`` for what is no CSN."""
        while True:
            await self.once(clock())
            await asyncio.sleep(INTERVAL)

    async def once(self, now: float) -> None:
        """One poll."""
        context = await read_cookie(self._read, self._suffix)
        if context is None:
            raise DirectoryFailure("contextCSN is gone", "suffix")
        if self.last.is_behind(context):
            await self._catch_up(context)
            if self._doubt_at is None:
                self._doubt_at = now + DOUBT
        if self._doubt_at is not None and now >= self._doubt_at:
            self._doubt_at = None
            self._freshness.age_all()
        self.last = self.last.merged(context)

    async def _catch_up(self, context: Cookie) -> None:
        moved = [sid for sid, csn in context.csns.items() if self.last.csns.get(sid) != csn]
        if any(sid not in self.last.csns for sid in moved):
            self._freshness.age_all()
            return
        since = min(str(self.last.csns[sid]) for sid in moved)
        wanted = tuple(dict.fromkeys((*self._freshness.heard_attributes, "entrycsn")))
        search = Search(self._base, Scope.SUB, f"(entryCSN>={since})", wanted, MOST, base_exists=True)
        try:
            entries = await self._find(search)
        except DataError:
            self._freshness.age_all()  # more than may be read at once
            return
        except DirectoryFailure as failure:
            if failure.kind != "limit":
                raise
            self._freshness.age_all()
            return
        await self._take(entries, {str(context.csns[sid]).encode() for sid in moved})

    async def _take(self, entries: Sequence[Entry], newest: set[bytes]) -> None:
        found: set[bytes] = set()
        for number, entry in enumerate(entries, 1):
            attributes = dict(entry.attributes)
            found.update(attributes.pop("entrycsn", ()))
            uuid = uuid_in(attributes.get("entryuuid", ()))
            if uuid is None:
                self._freshness.age_all()
            else:
                self._freshness.changed(entry.dn, uuid, attributes, added=False)
            if number % TOGETHER == 0:
                await asyncio.sleep(0)
        if not newest <= found:
            self._freshness.age_all()

    async def _read(self, name: str, attributes: tuple[str, ...]) -> Mapping[str, tuple[bytes, ...]] | None:
        entries = await self._find(Search(name, Scope.BASE, "(objectClass=*)", attributes))
        return entries[0].attributes if entries else None
