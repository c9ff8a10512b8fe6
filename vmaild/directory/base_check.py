"""Whether a server still holds the search base: what decides if its empty answers are trusted.

A wrong base, a replica that is not loaded yet and lost read rights all seem "nothing found" from outside. So the
entry of the search base itself is searched: after each bind, on a timer, and before an empty answer is trusted
when the last good probe is older than ``TRUST``. However many searches find nothing, one probe at a time serves all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from vmaild.directory.connection import LdapConnection
from vmaild.directory.counters import Counters
from vmaild.directory.failures import BROKEN, SUFFIX, TIMEOUT
from vmaild.errors import DirectoryFailure
from vmaild.lookup import Scope, Search

TRUST = 1.0
"""Seconds: an empty answer is trusted when the last good probe began no longer ago than this. A stream of
searches that find nothing costs about one probe a second then."""

RENEWAL = 0.75 * TRUST
"""Seconds after which the next search that finds nothing probes again, while the others still trust the last one. Else
all that come during a probe would wait for it, and then go on in one turn of the loop."""

NEVER = float("-inf")


class BaseCheck:
    """Checks the search base of one server. ``missing`` is called with the reason when a probe does not find it."""

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
        self._in_flight: asyncio.Task[None] | None = None

    def forget(self) -> None:
        """Trust no empty answer until the next good probe."""
        self._seen = NEVER

    async def close(self) -> None:
        """End a probe that is in flight."""
        if self._in_flight is not None:
            self._in_flight.cancel()
            await asyncio.gather(self._in_flight, return_exceptions=True)

    async def confirm(self, connection: LdapConnection, end: float) -> None:
        """Make sure, by ``end`` (loop time), that an empty answer of this server may be trusted.

        Uses ``connection``, which holds still meanwhile, unless a probe is in flight already. Raises
        ``DirectoryFailure``.
        """
        now = self._clock()
        while (age := now - self._seen) > RENEWAL:
            if self._in_flight is not None:
                if age <= TRUST:
                    return
                # Another search's: its outcome is ours, its connection and its cancellation are not.
                await _outcome(self._in_flight, end)
                continue
            self._in_flight = asyncio.create_task(self.check(connection, end))
            self._in_flight.add_done_callback(self._probe_ended)
            try:
                await asyncio.shield(self._in_flight)
            except asyncio.CancelledError:
                connection.kill()
                raise

    async def check(self, connection: LdapConnection, end: float) -> None:
        """Probe on a connection in service; calls ``missing``, and raises ``DirectoryFailure``."""
        try:
            await self.probe(connection, end)
        except DirectoryFailure as error:
            if error.kind not in (BROKEN, TIMEOUT):
                self._missing(error)
            raise

    async def probe(self, connection: LdapConnection, end: float) -> None:
        """Search for the base now, on any connection. Raises ``DirectoryFailure``."""
        began = self._clock()
        self._counters.checks += 1
        try:
            if not await connection.search(self._search, end):
                raise DirectoryFailure(f"it does not hold {self._search.base!r}", SUFFIX)
        except DirectoryFailure:
            self._counters.check_failures += 1
            raise
        self._seen = max(self._seen, began)

    def _probe_ended(self, task: asyncio.Task[None]) -> None:
        self._in_flight = None
        if not task.cancelled():
            task.exception()  # whoever awaited it has it


async def _outcome(probe: asyncio.Task[None], end: float) -> None:
    try:
        async with asyncio.timeout_at(end):
            await asyncio.wait([probe])
    except TimeoutError:
        raise DirectoryFailure("no answer in time", TIMEOUT) from None
    if not probe.cancelled():
        error = probe.exception()
        if isinstance(error, DirectoryFailure) and error.kind not in (BROKEN, TIMEOUT):
            raise error
