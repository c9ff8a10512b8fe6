"""Hears of a server's changes (RFC 4533, refreshAndPersist), on a connection of its own: the thin asyncio shell.

bonsai cannot send the Sync Request control, and never returns from a search without end. So this connection is
vmaild's from its first byte: it dials, encrypts and binds itself (simple, anonymous, SASL EXTERNAL: one message each),
looks at single entries, and then sends the one search.

Use::

    stream = await SyncStream.open(endpoint, bind, context, start_tls=False, seconds=2.0)
    try:
        stream.search(SyncSearch(base, present("objectClass"), attributes, bytes(cookie)))
        async for output in stream:
            ...
    finally:
        stream.close()

- The loop is never held up: after ``TURN`` seconds of work without a pause the others get their turn, the caller's
  work between two outputs included; and no more is read from the network than what is worked off.
- A server that hangs is found out: after ``QUIET`` seconds without a byte, twice that at most, it is asked something,
  and must answer within ``ANSWER``. That also keeps firewalls and ``idletimeout`` from closing an idle connection.
- To connect again, and with which cookie, is the owner's work.

Diagnostics: ``ConnectionError`` when the connection ended, ``TimeoutError`` when the server hangs, ``BadMessage`` (a
``ValueError``) for bytes that are no LDAP or no RFC 4533, ``Refused`` for a result code. The search's own
end is no exception but ``Ended``, the last output.
"""

from __future__ import annotations

import asyncio
import collections
import ssl
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

TURN = 0.001
"""Seconds of work before the loop gets its turn. Cached answers wait this long at most for a bulk load."""

HIGH_WATER = 262_144
"""Bytes unread at which the socket is left alone until they are worked off."""

QUIET = 10.0
"""Seconds without a byte after which the server is asked whether it is still there."""

ANSWER = 5.0
"""Seconds it has to answer. It shares its threads with every other client: a loaded slapd has taken one."""

NO_SUCH_OBJECT = 32  # RFC 4511, appendix A.2


class Refused(Exception):
    """The server refused the bind or a search: ``code`` is the LDAP result, the text is the server's."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"LDAP result {code}: {text!r}")
        self.code = code


class SyncStream(asyncio.Protocol):
    """One connection, made by ``open``. One coroutine at a time may wait for it.

    ``quiet`` and ``answer`` are ``QUIET`` and ``ANSWER``, for a caller that wants others.
    """

    def __init__(self, quiet: float = QUIET, answer: float = ANSWER) -> None:
        self._loop = asyncio.get_running_loop()
        self._quiet = quiet
        self._answer = answer
        self._transport: asyncio.Transport | None = None
        self._reader = MessageReader()
        self._wake: asyncio.Future[None] | None = None
        self._paused = False
        self._lost: Exception | None = None
        self._heard = False
        self._asked = False
        self._timer: asyncio.TimerHandle | None = None
        self._last_message = 0
        self._phases: SyncPhases | None = None
        self._outputs: collections.deque[Output] = collections.deque()
        self._ended = False
        self._turn_began = self._loop.time()

    @classmethod
    async def open(
        cls,
        endpoint: Endpoint,
        bind: Bind,
        context: ssl.SSLContext | None,
        *,
        start_tls: bool,
        seconds: float,
        quiet: float = QUIET,
        answer: float = ANSWER,
    ) -> SyncStream:
        """A bound connection to ``endpoint``, within ``seconds``; encrypted, after StartTLS if so, by ``context``.

        Raises what ``sync_open.connect`` raises, and ``Refused``.
        """
        end = asyncio.get_running_loop().time() + seconds
        stream = await connect(endpoint, context, lambda: cls(quiet, answer), start_tls=start_tls, seconds=seconds)
        try:
            async with asyncio.timeout_at(end):
                await stream._bind(bind)
        except BaseException:
            stream.close()
            raise
        return stream

    async def read_entry(self, dn: str, *attributes: str, seconds: float) -> SearchEntry | None:
        """The entry ``dn`` with ``attributes``, None when there is none to be seen; only before ``search``.

        A referral in its place counts as none. Raises ``Refused``, and as the module says.
        """
        found: SearchEntry | None = None
        message = self._number()
        async with asyncio.timeout(seconds):
            self._write(sync_requests.base_search(message, dn, attributes))
            while True:
                event = await self._event()
                if isinstance(event, SearchEntry) and event.message == message:
                    found = event
                elif isinstance(event, SearchDone) and event.message == message:
                    break
                elif isinstance(event, Disconnection):
                    raise ConnectionResetError(f"the server hung up: {event.text!r}")
        if event.code not in (0, NO_SUCH_OBJECT):
            raise Refused(event.code, event.text)
        return found

    def search(self, search: SyncSearch) -> None:
        """Send the search; from now on the stream is to be iterated. Raises ``ValueError`` for a foreign cookie."""
        cookie = Cookie.parse(search.cookie) if search.cookie else Cookie()
        message = self._number()
        self._phases = SyncPhases(message, cookie)
        self._write(sync_requests.sync_search(message, search))
        self._heard = True
        self._timer = self._loop.call_later(self._quiet, self._check)

    def __aiter__(self) -> SyncStream:
        return self

    async def __anext__(self) -> Output:
        """The next output, the last is ``Ended``; cancelled, it can be called again."""
        while not self._outputs:
            if self._ended or self._phases is None:
                raise StopAsyncIteration
            event = await self._event()
            try:
                self._outputs.extend(self._phases.take(event))
            except BadMessage as error:
                self._fail(error)
        if self._loop.time() - self._turn_began > TURN:
            await asyncio.sleep(0)
            self._turn_began = self._loop.time()
        output = self._outputs.popleft()
        self._ended = isinstance(output, Ended)
        return output

    def close(self) -> None:
        """Say goodbye and close. Harmless when closed already."""
        if self._lost is None:
            self._write(ber.UNBIND)
            self._fail(ConnectionAbortedError("the stream was closed"))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio's: the connection is there."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """asyncio's: bytes came."""
        self._heard = True
        self._reader.feed(data)
        if self._reader.waiting > HIGH_WATER and self._transport is not None and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        self._rouse()

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio's: the connection ended."""
        self._transport = None
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
        """The next message. What came before the connection ended is still told."""
        while True:
            event = self._read()
            if event is not None:
                return event
            if self._lost is not None:
                raise self._lost
            if self._paused and self._transport is not None:
                self._paused = False
                self._transport.resume_reading()
            self._wake = self._loop.create_future()
            try:
                await self._wake
            finally:
                self._wake = None
            self._turn_began = self._loop.time()

    def _read(self) -> Event | None:
        try:
            return self._reader.next()
        except BadMessage as error:
            self._fail(error)
            return None

    def _check(self) -> None:
        """Called when the server was silent, or should have answered."""
        self._timer = None
        if self._lost is not None:
            return
        if self._heard or self._paused:
            self._heard = self._asked = False
        elif self._asked:
            self._fail(TimeoutError("the server does not answer"))
            return
        else:
            self._asked = True
            self._write(sync_requests.probe(self._number()))
        self._timer = self._loop.call_later(self._answer if self._asked else self._quiet, self._check)

    def _fail(self, error: Exception) -> None:
        """The stream is over; whoever waits, or comes later, gets ``error``."""
        if self._lost is None:
            self._lost = error
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._transport is not None:
            if self._transport.get_write_buffer_size():
                self._transport.abort()
            else:
                self._transport.close()
        self._rouse()

    def _rouse(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)
