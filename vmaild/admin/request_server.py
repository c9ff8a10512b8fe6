"""One request, one response, one connection: the server under the HTTP and the control endpoint.

A ``RequestProtocol`` knows the protocol as pure functions of bytes. ``RequestServer`` runs it on listening sockets, and
bounds whatever a client can do: how much it sends, how long it takes, and how many there are at once.

A request ends where ``RequestProtocol.end`` first stands. What follows it is read and dropped, so that closing does
not reset the connection while the response is still on its way. The client closes after the response, or the
deadline does.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any, Protocol, cast

from vmaild.listening import EVERYONE, Acceptor, Access

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Coroutine, Iterable

    from vmaild.listening import Address

logger = logging.getLogger("vmaild.admin")

DEADLINE = 5.0
"""Seconds a connection may last, from its first moment to its last. Prometheus gives up after 10."""


MAX_CONNECTIONS = 32
"""Connections at once. The clients are a few monitors and an administrator, not Postfix."""

MAX_TURNED_AWAY = 8
"""Connections beyond these that get an answer; one more waits in the kernel's backlog."""


class RequestProtocol(Protocol):
    """The protocol of a connection. Nothing here may block or raise, but for ``answer``: see ``failed``."""

    end: bytes
    limit: int  # bytes of a request, with its end

    def answer(self, request: bytes) -> bytes | Coroutine[Any, Any, bytes]:
        """The response to ``request``, which comes without its end; a coroutine for one that takes a while.

        The coroutine is cancelled when the client goes, or the deadline comes.
        """

    def too_long(self) -> bytes:
        """The response to a request that passed the limit."""

    def busy(self) -> bytes:
        """The response when there are too many connections."""

    def failed(self) -> bytes:
        """The response when ``answer``, or its coroutine, raised; the exception itself is logged, and not told."""


class RequestServer:
    """Serves one protocol on any number of listening sockets. ``deadline``: seconds for a whole connection."""

    def __init__(
        self,
        protocol: RequestProtocol,
        *,
        deadline: float = DEADLINE,
        max_connections: int = MAX_CONNECTIONS,
        access: Access = EVERYONE,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.protocol = protocol
        self.deadline = deadline
        self.max_connections = max_connections
        self.connections: set[_RequestConnection] = set()
        self.addresses: tuple[Address, ...] = ()
        self.denied_connections = 0
        """Connections closed at once because of where, or which user, they came from."""
        self._access = access
        self._tls = tls
        self._open = 0
        self._acceptors: list[Acceptor] = []

    async def start(self, sockets: Iterable[socket.socket]) -> None:
        """Begin to accept on ``sockets``, which belong to the server from now on."""
        for sock in sockets:
            acceptor = Acceptor(sock, self._connection, self, self._access, tls=self._tls)
            self.addresses += (acceptor.address,)
            self._acceptors.append(acceptor)

    def use(self, protocol: RequestProtocol, access: Access, tls: ssl.SSLContext | None) -> None:
        """Serve ``protocol`` to whom ``access`` admits, and with ``tls``, from now on; what is open stays."""
        self.protocol, self._access, self._tls = protocol, access, tls
        for acceptor in self._acceptors:
            acceptor.use(self._connection, access, tls)

    async def close(self) -> None:
        """Stop accepting, and cut the connections that are left."""
        acceptors, self._acceptors = self._acceptors, []
        for acceptor in acceptors:
            await acceptor.close()
        tasks = [connection.cut() for connection in tuple(self.connections)]
        await asyncio.gather(*(task for task in tasks if task is not None), return_exceptions=True)

    def _connection(self) -> _RequestConnection:
        return _RequestConnection(self)

    # What an acceptor asks (``vmaild.listening.Door``).

    def has_room(self) -> bool:
        """Whether one more may come in, if only to hear that there are too many."""
        return self._open < self.max_connections + MAX_TURNED_AWAY

    def make_room(self) -> None:
        """One waits in the backlog: each connection has its deadline."""

    def coming(self, change: int) -> None:
        """So many connections more, or less, are on their way in."""
        self.opened(change)

    def denied(self) -> None:
        """A connection was closed because of where it came from."""
        self.denied_connections += 1

    def opened(self, change: int) -> None:
        """So many connections more, or less, are open."""
        self._open += change
        for acceptor in self._acceptors:
            acceptor.resume()


class _RequestConnection(asyncio.Protocol):
    def __init__(self, server: RequestServer) -> None:
        self._server = server
        self._protocol = server.protocol
        self._received = bytearray()
        self._responded = False
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        server = self._server
        server.opened(1)
        self._timer = asyncio.get_running_loop().call_later(server.deadline, self.cut)
        if len(server.connections) >= server.max_connections:
            self._responded = True
            self._transport.write(self._protocol.busy())
            # No place means no waiting for the client to close either.
            self._transport.close()
        else:
            server.connections.add(self)

    def data_received(self, data: bytes) -> None:
        if self._responded:
            return
        # The end may have begun in what came before.
        start = max(0, len(self._received) - len(self._protocol.end) + 1)
        self._received += data
        end = self._received.find(self._protocol.end, start, self._protocol.limit)
        if end >= 0:
            self._answer(bytes(self._received[:end]))
        elif len(self._received) >= self._protocol.limit:
            self._respond(self._protocol.too_long())

    def eof_received(self) -> bool:
        # A client that has said all may still read: what takes a while is sent, and the deadline ends it.
        return self._task is not None and not self._task.done()

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
        self._server.connections.discard(self)
        self._server.opened(-1)

    def cut(self) -> asyncio.Task[None] | None:
        """End the connection now, whatever was still to be sent; returns what is still to end."""
        if self._task is not None:
            self._task.cancel()
        self._transport.abort()
        return self._task

    def _answer(self, request: bytes) -> None:
        self._responded = True
        try:
            response = self._protocol.answer(request)
        except Exception:
            self._fail()
            return
        if isinstance(response, bytes):
            self._respond(response)
        else:
            self._task = asyncio.get_running_loop().create_task(self._answer_later(response))

    async def _answer_later(self, response: Coroutine[Any, Any, bytes]) -> None:
        try:
            self._respond(await response)
        except Exception:
            self._fail()

    def _fail(self) -> None:
        logger.exception("a request could not be answered")
        self._respond(self._protocol.failed())

    def _respond(self, response: bytes) -> None:
        self._responded = True
        self._received.clear()
        if self._transport.is_closing():
            return
        self._transport.write(response)
        if not self._transport.can_write_eof():
            # TLS ends in both directions at once, after what is written.
            self._transport.close()
            return
        # A client that is gone already makes shutdown(2) fail.
        with contextlib.suppress(OSError):
            self._transport.write_eof()
