"""Whether a server still holds the search base: what decides if its empty answers are trusted.

A wrong base, a replica that is not loaded yet and lost read rights all look like "nothing found" from outside. So the
entry of the search base itself is searched: after each bind, on a timer, and before an empty answer is trusted when the
last good probe is too old (``shared_probe``).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from vmaild.directory.connection import LdapConnection
from vmaild.directory.counters import Counters
from vmaild.directory.failures import BROKEN, SUFFIX, TIMEOUT
from vmaild.directory.shared_probe import SharedProbe
from vmaild.errors import DirectoryFailure
from vmaild.lookup import Scope, Search


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
        self.probe = SharedProbe(clock)

    async def close(self) -> None:
        """End the probe in flight, and call ``missing`` no more."""
        await self.probe.close()
        self._missing = _ignore

    async def confirm(self, connection: LdapConnection, end: float) -> None:
        """Make sure, by ``end`` (loop time), that an empty answer of this server may be trusted.

        Uses ``connection``, which nothing else uses during that, unless a probe is in flight already: its outcome is
        shared then, but not its connection. Raises ``DirectoryFailure``.
        """
        while not self.probe.trusted:
            if self.probe.due:
                try:
                    await asyncio.shield(self.probe.begin(self.check(connection, end)))
                except asyncio.CancelledError:
                    connection.kill()
                    raise
                return
            try:
                async with asyncio.timeout_at(end):
                    await self.probe.outcome()
            except TimeoutError:
                raise DirectoryFailure("no answer in time", TIMEOUT) from None
            except DirectoryFailure as error:
                if error.kind not in (BROKEN, TIMEOUT):
                    raise

    async def renew(self, connection: LdapConnection, end: float) -> None:
        """Probe on ``connection`` if it is time; a failure shows where the outcome is needed."""
        if self.probe.due:
            with contextlib.suppress(DirectoryFailure):
                await self.probe.begin(self.check(connection, end))

    async def check(self, connection: LdapConnection, end: float) -> None:
        """Probe on a connection in service; calls ``missing``, and raises ``DirectoryFailure``."""
        try:
            await self.find(connection, end)
        except DirectoryFailure as error:
            if error.kind not in (BROKEN, TIMEOUT):
                self._missing(error)
            raise

    async def find(self, connection: LdapConnection, end: float) -> None:
        """Search for the base now, on any connection. Raises ``DirectoryFailure``."""
        began = self._clock()
        self._counters.checks += 1
        try:
            if not await connection.search(self._search, end):
                raise DirectoryFailure(f"it does not hold {self._search.base!r}", SUFFIX)
        except DirectoryFailure:
            self._counters.check_failures += 1
            raise
        self.probe.good(began)


def _ignore(why: DirectoryFailure) -> None:
    """The ``missing`` of a server that is closed."""
