"""Whether a server still holds the search base: what decides if its empty answers are believed.

A wrong base, a replica that is not loaded yet and lost read rights all look like "nothing found" from outside. So the
entry of the search base itself is searched: after each bind, on a timer, and before an empty answer is believed
when the last good look is older than ``BELIEF``. However many searches find nothing, one look at a time serves all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from vmaild.directory.connection import Connection
from vmaild.directory.counters import Counters
from vmaild.directory.translate import BROKEN, SUFFIX, TIMEOUT
from vmaild.errors import DirectoryFailure
from vmaild.lookup import Scope, Search

BELIEF = 1.0
"""Seconds: an empty answer is believed when the last good look began no longer ago than this. A stream of
searches that find nothing costs about one look a second then."""

RENEWAL = 0.75 * BELIEF
"""Seconds after which the next search that finds nothing looks again, while the others still believe. Else all that
come during a look would wait for it, and then go on in one turn of the loop."""

NEVER = float("-inf")


class Suffix:
    """The search base of one server. ``missing`` is called with the reason when a look shows that it is not there."""

    def __init__(
        self,
        base: str,
        counters: Counters,
        missing: Callable[[DirectoryFailure], None],
        clock: Callable[[], float],
    ) -> None:
        self._search = Search(base, Scope.BASE, "(objectClass=*)", ())
        self._counters = counters
        self._missing = missing
        self._clock = clock
        self._seen = NEVER
        self._look: asyncio.Task[None] | None = None

    def forget(self) -> None:
        """Believe nothing any more until the next good look."""
        self._seen = NEVER

    async def close(self) -> None:
        """End a look that is under way."""
        if self._look is not None:
            self._look.cancel()
            await asyncio.gather(self._look, return_exceptions=True)

    async def confirm(self, connection: Connection, end: float) -> None:
        """Make sure, by ``end`` (loop time), that an empty answer of this server may be believed.

        Uses ``connection``, which holds still meanwhile, unless a look is under way already. Raises
        ``DirectoryFailure``.
        """
        now = self._clock()
        while (age := now - self._seen) > RENEWAL:
            if self._look is not None:
                if age <= BELIEF:
                    return
                # Another search's: its outcome is ours, its connection and its cancellation are not.
                await _outcome(self._look, end)
                continue
            self._look = asyncio.create_task(self.check(connection, end))
            self._look.add_done_callback(self._looked)
            try:
                await asyncio.shield(self._look)
            except asyncio.CancelledError:
                connection.kill()
                raise

    async def check(self, connection: Connection, end: float) -> None:
        """Look now, on a connection in service; calls ``missing``, and raises ``DirectoryFailure``."""
        try:
            await self.find(connection, end)
        except DirectoryFailure as wrong:
            if wrong.kind not in (BROKEN, TIMEOUT):
                self._missing(wrong)
            raise

    async def find(self, connection: Connection, end: float) -> None:
        """Look now, on any connection. Raises ``DirectoryFailure``."""
        began = self._clock()
        self._counters.checks += 1
        try:
            if not await connection.search(self._search, end):
                raise DirectoryFailure(f"it does not hold {self._search.base!r}", SUFFIX)
        except DirectoryFailure:
            self._counters.check_failures += 1
            raise
        self._seen = max(self._seen, began)

    def _looked(self, task: asyncio.Task[None]) -> None:
        self._look = None
        if not task.cancelled():
            task.exception()  # seen by whoever awaited it


async def _outcome(look: asyncio.Task[None], end: float) -> None:
    try:
        async with asyncio.timeout_at(end):
            await asyncio.wait([look])
    except TimeoutError:
        raise DirectoryFailure("no answer in time", TIMEOUT) from None
    if not look.cancelled():
        wrong = look.exception()
        if isinstance(wrong, DirectoryFailure) and wrong.kind not in (BROKEN, TIMEOUT):
            raise wrong
