"""One connection of its own to one server, for a command: searches, and a whole tree page by page (RFC 2696).

The daemon never pages: an answer about one address is small. ``vmaild audit`` reads every entry, which without pages
would meet the server's size limit, and have to fit into memory at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any

from bonsai._bonsai import ldapconnection

from vmaild.directory.attributes import attributes
from vmaild.directory.bonsai_patches import Client
from vmaild.directory.connection import SCOPES, Fields, LdapConnection, Outcome
from vmaild.directory.failures import FOREIGN, LIMIT, TIMEOUT, failure
from vmaild.directory.settings import DirectorySettings
from vmaild.directory.transport import Transport
from vmaild.directory.uri import parse
from vmaild.errors import DataError, DirectoryFailure
from vmaild.lookup import Entry, Search

MOST_BYTES, MOST_VALUES = 64 * 1024 * 1024, 1_000_000
"""Bounds of a page. Those of the daemon are for the answer about one address, and keep it from waiting; a command waits
for whatever an entry has."""


class WalkConnection(LdapConnection):
    """A connection that can ask for pages too, and is shown referral objects as entries (RFC 3296, ManageDsaIT)."""

    def __init__(self, client: Client, clock: Callable[[], float]) -> None:
        client.set_managedsait(True)
        super().__init__(client, clock)
        self._page: Any = None

    def get_result(self, message: int) -> Any:
        """As bonsai's own; remembers the result, which has what the next page needs."""
        self._page = result = super().get_result(message)
        return result

    def _entries(self, found: Iterable[Fields]) -> Outcome | None:
        # A page cannot be asked for again: what has options that were not foreseen is left out.
        page = list(found)  # of a page, bonsai makes what can be gone through once
        for fields in page:
            if type(fields) is Fields:
                for name in [name for name in fields if name.lower() not in self._attributes.names]:
                    del fields[name]
        return super()._entries(page)

    async def pages(self, search: Search, size: int, seconds: float) -> AsyncGenerator[list[Entry], None]:
        """The entries, at most ``size`` at a time, each page within ``seconds``. Raises ``DirectoryFailure``.

        The next page is asked for before one is handed over: the server works while the caller does.
        """
        self._attributes = wanted = attributes(search.attributes)
        self._client.raw_attributes = wanted.raw
        self._search = search
        coming: asyncio.Task[list[Entry]] | None = None
        try:
            message = ldapconnection.search(
                self, search.base, SCOPES[search.scope], search.filter, wanted.asked, seconds + 2.0,
                search.size_limit, False, [], size,
            )  # fmt: skip
            coming = self._coming(message, seconds)
            while coming is not None:
                page, result = await coming, self._page
                message = result.acquire_next_page() if hasattr(result, "acquire_next_page") else None
                coming = self._coming(message, seconds) if message is not None else None
                yield page
        except FOREIGN as error:
            raise failure(error) from None
        finally:
            if coming is not None:
                # What was asked for is not wanted any more, and the connection waits for it.
                self.kill()
                coming.cancel()
                await asyncio.gather(coming, return_exceptions=True)

    def _coming(self, message: int, seconds: float) -> asyncio.Task[list[Entry]]:
        answered = self._answer_to(message, seconds)
        return self._loop.create_task(self._page_of(answered))

    def _answer_to(self, message: int, seconds: float) -> asyncio.Future[Outcome]:
        """How the message is answered: from now on the connection reads what comes."""
        answered: asyncio.Future[Outcome] = self._loop.create_future()
        self._received = self._values = 0
        self._message = message
        self._end_at = self._loop.time() + seconds
        self._done = lambda outcome: None if answered.done() else answered.set_result(outcome)
        if self._end_at < self._deadline.at:
            self._deadline.set(self._end_at)
        return answered

    async def _page_of(self, answered: asyncio.Future[Outcome]) -> list[Entry]:
        outcome = await answered
        if isinstance(outcome, DataError):
            raise DirectoryFailure(str(outcome), LIMIT)
        if isinstance(outcome, DirectoryFailure):
            raise outcome
        return outcome


@contextlib.asynccontextmanager
async def connected(settings: DirectorySettings, uri: str) -> AsyncIterator[WalkConnection]:
    """A bound connection to the server ``uri`` of ``settings``. Raises ``DirectoryFailure``, OSError."""
    with tempfile.TemporaryDirectory(prefix="vmaild-") as sockets:
        transport = Transport(parse(uri), settings, Path(sockets), time.monotonic, WalkConnection)
        try:
            async with asyncio.timeout(settings.connect_timeout):
                connection = await transport.connect()
        except TimeoutError:
            raise DirectoryFailure("no connection in time", TIMEOUT) from None
        assert isinstance(connection, WalkConnection)
        connection.max_answer, connection.max_values = MOST_BYTES, MOST_VALUES
        try:
            yield connection
        finally:
            connection.kill()
