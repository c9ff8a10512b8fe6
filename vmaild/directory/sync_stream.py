"""Hears of a server's changes (RFC 4533, refreshAndPersist), on a connection of its own: the thin asyncio shell.

bonsai cannot send the Sync Request control, and never returns from a search without end. So this connection is
vmaild's from its first byte: it dials, encrypts and binds itself (simple, anonymous, SASL EXTERNAL: one message each),
searches for single entries, and then sends the one search.

Use::

    stream = await SyncStream.open(endpoint, bind, context, start_tls=False, seconds=2.0)
    try:
        stream.search(SyncSearch(base, present("objectClass"), attributes, cookie), suffix)
        async for output in stream:
            ...
    finally:
        stream.close()
        await stream.wait_closed()

- The loop is never held up: after ``TURN`` seconds of work without a pause the others get their turn, the caller's
  work between two outputs included; and no more is read from the network than what is worked off. Where many messages
  come, one after the other, those of a millisecond are read together.
- Every ``INTERVAL`` seconds the server is probed by a read of ``contextCSN``: a server that hangs is found out after
  ``ANSWER`` seconds, and a change that was not reported shows (``SyncPhases.compare``). That also keeps
  firewalls from dropping a connection on which nothing happens.
- To connect again, and with which cookie, is the owner's work.

Diagnostics: ``ConnectionError`` when the connection ended, ``TimeoutError`` when the server hangs, ``BadMessage`` (a
``ValueError``) for bytes that are no LDAP or no RFC 4533, ``Refused`` for a result code. The search's own
end is no exception but ``Ended``, the last output.
"""

from __future__ import annotations

import asyncio
import collections
import copy
import ssl
import time
from collections.abc import AsyncIterator
from typing import cast

from vmaild.directory import ber, sync_requests
from vmaild.directory.sync_ber import BadMessage
from vmaild.directory.sync_cookie import Cookie
from vmaild.directory.sync_events import Answer, Disconnection, Event, SearchDone, SearchEntry
from vmaild.directory.sync_open import connect
from vmaild.directory.sync_phases import Ended, Output, SyncPhases
from vmaild.directory.sync_reader import MessageReader
from vmaild.directory.sync_requests import Bind, SyncSearch
from vmaild.directory.uri import Endpoint

TURN = 0.0001
"""Seconds of work before the loop gets its turn, an entry or two: the longest that cached answers wait for a bulk load.
It was one or two milliseconds by the loop's own clock, which counts whole ones, and their p99 three times as long."""

SHARE = 0.25
"""Of the time that the others took for their turn, as much for work at least, so that a busy loop keeps up."""

CLOSE = 0.002
"""Seconds from one message to the next in which it counts as one of many: a bulk load has some 5,000 in a second."""

PAUSE = 0.001
"""Seconds for which nothing is read then, so that some come together: each by itself costs twice as much CPU."""

HIGH_WATER = 262_144
"""Bytes unread at which the socket is left alone until they are worked off."""

INTERVAL = 1.0
"""Seconds between two probes: one read of one entry, 0.2 ms of slapd's time."""

ANSWER = 5.0
"""Seconds it has to answer: a loaded slapd, whose threads serve every other client too, has taken one."""

NO_SUCH_OBJECT = 32  # RFC 4511, appendix A.2


class Refused(Exception):
    """The server refused the bind or a search: ``code`` is the LDAP result, the text is the server's."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"LDAP result {code}: {text!r}")
        self.code = code


class SyncStream(asyncio.Protocol):
    """One connection, made by ``open``. One coroutine at a time may wait for it.

    ``interval`` and ``answer`` are ``INTERVAL`` and ``ANSWER``, for a caller that wants others.
    """

    def __init__(self, interval: float = INTERVAL, answer: float = ANSWER) -> None:
        self._loop = asyncio.get_running_loop()
        self._interval = interval
        self._answer = answer
        self._transport: asyncio.Transport | None = None
        self._reader = MessageReader()
        self._wake: asyncio.Future[None] | None = None
        self._paused = False
        self._lost: Exception | None = None
        """Why it ended. A copy is raised: the frames in a traceback hold the stream."""
        self._gone = asyncio.Event()
        self._suffix = ""
        self._probe = 0
        self._probe_at: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._last_message = 0
        self._phases: SyncPhases | None = None
        self._outputs: collections.deque[Output] = collections.deque()
        self._ended = False
        self._turn_ends = 0.0
        self._woke_at = float("-inf")

    @classmethod
    async def open(
        cls,
        endpoint: Endpoint,
        bind: Bind,
        context: ssl.SSLContext | None,
        *,
        start_tls: bool,
        seconds: float,
        interval: float = INTERVAL,
        answer: float = ANSWER,
    ) -> SyncStream:
        """A bound connection to ``endpoint``, within ``seconds``; encrypted, after StartTLS if so, by ``context``.

        Raises what ``sync_open.connect`` raises, and ``Refused``.
        """
        end = asyncio.get_running_loop().time() + seconds
        stream = await connect(endpoint, context, lambda: cls(interval, answer), start_tls=start_tls, seconds=seconds)
        try:
            async with asyncio.timeout_at(end):
                await stream._bind(bind)
        except BaseException:
            stream.close()
            raise
        return stream

    async def read_entry(self, dn: str, *attributes: str, seconds: float) -> SearchEntry | None:
        """The entry ``dn`` with ``attributes``, None when there is none to be seen; only before ``search``.

        A referral in its place counts as none. Raises ``Refused``, and what the module's docstring lists.
        """
        found: SearchEntry | None = None
        message = self._number()
        try:
            async with asyncio.timeout(seconds):
                async for entry in self._found(message, sync_requests.base_search(message, dn, attributes)):
                    found = entry
        except Refused as refused:
            if refused.code != NO_SUCH_OBJECT:
                raise
        return found

    def entries(self, search: SyncSearch) -> AsyncIterator[SearchEntry]:
        """All entries that a search finds now, however many, one by one; only before ``search``. Raises as
        ``read_entry`` does; the caller bounds the time."""
        message = self._number()
        return self._found(message, sync_requests.search(message, search))

    async def _found(self, message: int, request: bytes) -> AsyncIterator[SearchEntry]:
        self._write(request)
        while True:
            event = await self._event()
            if isinstance(event, SearchEntry) and event.message == message:
                yield event
            elif isinstance(event, SearchDone) and event.message == message:
                break
            elif isinstance(event, Disconnection):
                raise ConnectionResetError(f"the server hung up: {event.text!r}")
        if event.code != 0:
            raise Refused(event.code, event.text)

    def search(self, search: SyncSearch, suffix: str = "") -> None:
        """Send the search, once; from now on the stream is to be iterated.

        ``suffix`` has the ``contextCSN``, see ``sync_context``; without it only hanging servers are found out.
        """
        message = self._number()
        self._phases = SyncPhases(message, search.cookie)
        self._write(sync_requests.sync_search(message, search))
        self._suffix = suffix
        self._timer = self._loop.call_later(self._interval, self._check)

    def __aiter__(self) -> SyncStream:
        return self

    async def __anext__(self) -> Output:
        """The next output, the last is ``Ended``; cancelled, it can be called again."""
        while not self._outputs:
            if self._ended or self._phases is None:
                raise StopAsyncIteration
            event = await self._event()
            try:
                self._outputs.extend(self._meaning(event, self._phases))
            except ValueError as error:
                self._fail(error)
        await self._share()
        output = self._outputs.popleft()
        self._ended = isinstance(output, Ended)
        return output

    def close(self) -> None:
        """Say goodbye and close. Harmless when closed already."""
        if self._lost is None:
            self._fail(ConnectionAbortedError("the stream was closed"))

    async def wait_closed(self) -> None:
        """Wait after ``close`` until the connection is gone: a TLS goodbye takes up to ``TLS_GOODBYE`` seconds."""
        await self._gone.wait()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio's: the connection is there."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """asyncio's: bytes came."""
        self._probe_at = None
        self._reader.feed(data)
        if self._reader.waiting > HIGH_WATER and self._transport is not None and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        self._rouse()

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio's: the connection ended."""
        self._transport = None
        self._gone.set()
        self._fail(exc if isinstance(exc, OSError) else ConnectionResetError("the server hung up"))

    async def _bind(self, bind: Bind) -> None:
        message = self._number()
        self._write(sync_requests.bind_request(message, bind))
        event = await self._event()
        if isinstance(event, Disconnection) or (isinstance(event, Answer) and event.code != 0):
            raise Refused(event.code, event.text)
        if not isinstance(event, Answer) or event.message != message:
            raise BadMessage("no answer to the bind")

    def _number(self) -> int:
        self._last_message += 1
        return self._last_message

    def _write(self, request: bytes) -> None:
        if self._transport is not None:
            self._transport.write(request)

    async def _event(self) -> Event:
        """The next message. What came before the connection ended is still returned."""
        while True:
            if isinstance(self._lost, ValueError):
                raise copy.copy(self._lost)  # what follows bad bytes has no meaning
            await self._share()
            event = self._read()
            if event is not None:
                return event
            if self._lost is not None:
                raise copy.copy(self._lost)
            if self._paused and self._transport is not None:
                self._paused, self._probe_at = False, None
                self._transport.resume_reading()
            self._wake = self._loop.create_future()
            try:
                await self._wake
            finally:
                self._wake = None
            woke_at, self._woke_at = self._woke_at, time.monotonic()
            self._turn_ends = self._woke_at + TURN
            if self._woke_at < woke_at + CLOSE and self._lost is None:
                await self._gather()

    async def _gather(self) -> None:
        """Leave the socket alone for ``PAUSE``; it is read again when what has come is worked off."""
        if self._transport is not None and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        await asyncio.sleep(PAUSE)

    async def _share(self) -> None:
        """Let the others have their turn after ``TURN`` seconds of work."""
        began = time.monotonic()
        if began > self._turn_ends:
            await asyncio.sleep(0)
            now = time.monotonic()
            self._turn_ends = now + max(TURN, SHARE * (now - began))

    def _read(self) -> Event | None:
        try:
            return self._reader.next()
        except BadMessage as error:
            self._fail(error)
            return None

    def _meaning(self, event: Event, phases: SyncPhases) -> list[Output]:
        """What a message means, the answer to the last probe included."""
        if not isinstance(event, SearchEntry) or event.message != self._probe:
            return phases.take(event)
        values = (event.attributes or {}).get("contextcsn", ())
        return phases.compare(Cookie.of_context(values)) if values else []

    def _check(self) -> None:
        """Probe, or make sure that the last probe was answered; any byte counts as an answer."""
        now = self._loop.time()
        if self._probe_at is None and not self._paused:
            self._probe = self._number()
            self._probe_at = now
            if self._suffix:
                self._write(sync_requests.base_search(self._probe, self._suffix, ("contextCSN",)))
            else:
                self._write(sync_requests.who_am_i(self._probe))
        elif self._probe_at is not None and not self._paused and now > self._probe_at + self._answer:
            self._fail(TimeoutError("the server does not answer"))
            return
        self._timer = self._loop.call_later(self._interval, self._check)

    def _fail(self, error: Exception) -> None:
        """The stream is over: all calls from now on raise ``error``."""
        if self._lost is None or isinstance(error, ValueError):
            self._lost = error.with_traceback(None)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._transport is not None:
            if self._transport.get_write_buffer_size():
                self._transport.abort()
            elif not self._transport.is_closing():
                self._transport.write(ber.UNBIND)
                self._transport.close()
        self._rouse()

    def _rouse(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)
