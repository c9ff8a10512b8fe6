"""Which way changes of the server in use arrive, and for how long what is known may be trusted.

In this order: **sync** (a ``SyncStream``), **poll** (``vmaild.feed.poll``), **none**. A stream that ended is opened
again with the last cookie, so that what happened in between is reported exactly. While nothing arrives for ``GRACE``
seconds, all lives are capped to those without a feed, counted from when changes last arrived.

Each server is heard by itself: when lookups go to another one, the feed goes along, with the cookie of what was heard
so far. Records that another server than the one that is heard has answered live as if nothing was heard.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable

from vmaild.cache.dependents import entry_parts, of_entry
from vmaild.directory import (
    ANSWER,
    INTERVAL,
    AgeAll,
    Changed,
    Context,
    Cookie,
    Deleted,
    DirectorySettings,
    Moved,
    Persisting,
    Pool,
    Present,
    Refused,
    State,
    StreamEnded,
    SyncSearch,
    SyncStream,
    UuidSet,
    Way,
    present,
    read_context,
    reader,
)
from vmaild.errors import DirectoryFailure, LookupFailure
from vmaild.feed.counters import FeedCounters, Mode
from vmaild.feed.poll import Poll
from vmaild.maps import Freshness

logger = logging.getLogger("vmaild.feed")

GRACE = 5.0
"""Seconds without a feed after which lives are capped: a stream is back in less, and hears what it has missed."""

PAUSES = (0.02, 0.1, 0.3, 0.7)
"""Seconds between two tries, one after the other; the last for all others, as for lookups (``directory.backoff``). Each
is shortened by up to a third."""

WRONG_PASSWORD = 5.0
"""Seconds until a server that refused the password is tried again: many wrong ones make some lock the account."""

INVALID_CREDENTIALS = 49  # RFC 4511, appendix A.2

RETRY = 30.0
"""Seconds after which a server that offers no changes is asked again whether it does."""

LOOK = 0.1
"""Seconds between two checks of which server lookups go to."""

SILENCE = INTERVAL + ANSWER
"""Seconds for which a server that hangs may have been silent before that is noticed."""

NO_CONTEXT = "no contextCSN can be seen on the database's suffix: overlay syncprov, and read access for vmaild"

Failures = (OSError, ValueError, Refused, LookupFailure)


class NotOffered(Exception):
    """The server does not offer this way to hear of changes."""


class Feed:
    """``run`` is to be a task of its own."""

    def __init__(
        self,
        settings: DirectorySettings,
        pool: Pool,
        freshness: Freshness,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._pool = pool
        self._freshness = freshness
        self._clock = clock
        self._way = Way(settings)
        self._last: Cookie | None = None
        self._own: tuple[str, Cookie] | None = None
        self._heard_at = clock()
        self._failures = 0
        self._refused: set[str] = set()
        self._poll: Poll | None = None
        self._doubt_at: float | None = None
        self.counters = FeedCounters()

    def follow(self, before: Feed) -> None:
        """Take the place of ``before``, with the same directory: hear what happened since it heard last."""
        self._last, self._own = before._last, before._own
        self._doubt_at = before._doubt_at if before._poll is None else before._poll.doubt_at
        if before._poll is not None and before._own is not None:
            self._own = before._own[0], before._poll.last
            self._last = before._poll.last if before._last is None else before._last.merged(before._poll.last)
        self._heard_at = before._clock() if before.counters.mode != "none" else before._heard_at
        self.counters.connects, self.counters.losses = before.counters.connects, before.counters.losses

    async def run(self) -> None:
        """Hear of changes until cancelled."""
        hearing: asyncio.Task[None] | None = None
        uri = ""
        try:
            while True:
                current = self._pool.current_uri
                if current != uri or hearing is None or hearing.done():
                    if hearing is not None:
                        await _end(hearing)
                        self._lost("lookups go to another server" if current else "no server can be reached")
                    uri = current
                    hearing = asyncio.create_task(self._hear(uri)) if uri else None
                if self.counters.mode != "none":
                    self._heard_at = self._clock()
                elif self._clock() > self._heard_at + GRACE:
                    self._freshness.lost(self._heard_at - SILENCE)
                await asyncio.sleep(LOOK)
        finally:
            if hearing is not None:
                await _end(hearing)

    async def _hear(self, uri: str) -> None:
        """Hear one server, again and again."""
        while True:
            began, pause = self._clock(), 0.0
            try:
                await self._once(uri)
            except Failures as error:
                self._lost(str(error) or type(error).__name__)
                if isinstance(error, Refused) and error.code == INVALID_CREDENTIALS:
                    pause = WRONG_PASSWORD
            except NotOffered as error:
                self._lost(str(error))
                if not self._freshness.hears:
                    self._freshness.not_offered()
                pause = RETRY
            except Exception as error:
                # What it was may come again each time: that must not fill the log.
                logger.error("following changes failed by a bug", exc_info=error)
                self._lost(f"a bug: {type(error).__name__}")
                pause = RETRY
            if self._clock() - began > GRACE:
                self._failures = 0  # changes were heard, and not only for a moment
            await asyncio.sleep((pause or self._pause()) * (1 - random.random() / 3))

    def _pause(self) -> float:
        pause = PAUSES[min(self._failures, len(PAUSES) - 1)]
        self._failures += 1
        return pause

    async def _once(self, uri: str) -> None:
        stream = await self._way.open(uri)
        try:
            context = await read_context(reader(stream, self._settings), self._settings.search_base)
            if context.cookie is None:
                raise NotOffered(NO_CONTEXT)
            if self._settings.changes != "poll" and context.offers_sync and uri not in self._refused:
                await self._sync(uri, stream, context)
                return
            if self._settings.changes == "sync":
                raise NotOffered("the database does not offer RFC 4533: overlay syncprov")
            await self._ask(uri, stream, context)
        finally:
            stream.close()

    # --- sync ---------------------------------------------------------------------------------------------------------

    async def _sync(self, uri: str, stream: SyncStream, context: Context) -> None:
        start = self._start(uri, context)
        attributes = self._freshness.heard_attributes
        if self._doubt_at is not None:
            self._doubt_at = None
            self._freshness.age_all()
        search = SyncSearch(self._settings.search_base, present("objectClass"), attributes, start)
        stream.search(search, context.suffix)
        persisting = False
        async for output in stream:
            if isinstance(output, StreamEnded):
                self._ended(uri, output)
            elif isinstance(output, Persisting):
                persisting = True
                self._hearing("sync", uri)
            elif isinstance(output, Changed):
                added = persisting and output.state is State.ADD
                self._freshness.changed(output.dn, output.uuid, output.attributes, added=added, each=persisting)
            else:
                await self._take(uri, output)

    async def _take(self, uri: str, output: Deleted | Moved | Present | AgeAll) -> None:
        if isinstance(output, Moved):
            self._own = uri, output.cookie
            self._last = output.cookie if self._last is None else self._last.merged(output.cookie)
        elif isinstance(output, Deleted):
            self._freshness.deleted(output.uuid)
        elif isinstance(output, Present):
            await self._freshness.present(_Members(output.uuids).__contains__)
        else:
            logger.info("everything is looked up again when it is next used: %s", output.reason)
            self._freshness.age_all()
            if self.counters.mode == "none":
                # The refresh cannot report what happened since: begin with what is there now.
                self._last = self._own = None

    def _start(self, uri: str, context: Context) -> Cookie:
        """The state from which on changes are to be reported."""
        assert context.cookie is not None
        known = self._last is not None and not context.cookie.is_behind(self._last)
        if self._last is not None and known and _can_tell(context.cookie, self._last):
            return self._last
        own = self._own[1] if self._own is not None and self._own[0] == uri else None
        if own is not None and not context.cookie.is_behind(own) and _can_tell(context.cookie, own):
            return own  # it still lacks what another server had, and has told all that it had itself
        # What happened up to now was not heard, or the server has not heard of all that another had.
        self._freshness.hears_from_now()
        if known or own is not None or (self._last is None and self._freshness.hears):
            # It is older than it was, and what it said may be of neither state; or what happened is not reported.
            self._freshness.age_all()
        self._own = uri, context.cookie
        self._last = context.cookie if self._last is None else self._last.merged(context.cookie)
        return context.cookie

    def _ended(self, uri: str, ended: StreamEnded) -> None:
        if self.counters.mode == "none" and ended.code in (2, 12, 50):
            # RFC 4511, appendix A: protocolError, unavailableCriticalExtension, insufficientAccessRights.
            self._refused.add(uri)
        raise DirectoryFailure(f"LDAP result {ended.code}: {ended.text}", "refused")

    # --- poll ---------------------------------------------------------------------------------------------------------

    async def _ask(self, uri: str, stream: SyncStream, context: Context) -> None:
        start = self._start(uri, context)
        self._own = uri, start
        read, base, suffix = reader(stream, self._settings), self._settings.search_base, context.suffix
        # A deletion that the last poll may have missed is no better known to this one.
        self._poll = Poll(self._freshness, read, stream.entries, base, suffix, start, self._doubt_at, self._clock)
        try:
            await self._poll.once(self._clock())
            self._hearing("poll", uri)
            await self._poll.run()
        finally:
            self._own = uri, self._poll.last
            self._last = self._poll.last if self._last is None else self._last.merged(self._poll.last)
            self._doubt_at, self._poll = self._poll.doubt_at, None

    # --- how it stands ------------------------------------------------------------------------------------------------

    def _hearing(self, mode: Mode, uri: str) -> None:
        self.counters.connects += 1
        self._freshness.heard(uri)
        self._set(mode, uri, "")

    def _lost(self, why: str) -> None:
        if self.counters.mode != "none":
            self._heard_at = self._clock()
            self.counters.losses += 1
        self._set("none", "", why)

    def _set(self, mode: Mode, uri: str, why: str) -> None:
        before = self.counters
        if (before.mode, before.server, before.why) != (mode, uri, why):
            text = f"changes of {uri} arrive by {mode}" if uri else f"changes do not arrive: {why}"
            logger.info("%s", text)
        before.mode, before.server, before.why = mode, uri, why


def _can_tell(server: Cookie, state: Cookie) -> bool:
    """Whether the server can tell what happened since a state, and not only send all that it has: it does that where
    a server id was added."""
    return server.csns.keys() <= state.csns.keys()


class _Members:
    """Whether the entry of a token is among those that are there."""

    def __init__(self, uuids: UuidSet) -> None:
        self._uuids = uuids

    def __contains__(self, token: object) -> bool:
        assert isinstance(token, int)
        crc, part = entry_parts(token)
        return any(of_entry(uuid) == token for uuid in self._uuids.with_part(crc, part, 1))


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    (outcome,) = await asyncio.gather(task, return_exceptions=True)
    if isinstance(outcome, Exception):
        logger.error("following changes failed by a bug", exc_info=outcome)
