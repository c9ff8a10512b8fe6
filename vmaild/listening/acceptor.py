"""Accepts connections on a listening socket, as long as there is room for them.

asyncio's own servers accept whatever comes. Here connections that find no room stay in the kernel's backlog, unharmed,
until there is: Postfix waits for its answer then, where a connection that is closed would cost it one of its two tries.
Also here: who may not connect is closed at once, and a system without free descriptors is waited for.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import ssl
from collections.abc import Callable
from typing import Protocol

from vmaild.listening.access import EVERYONE, NOBODY, Access, InetPeer, UnixPeer, hidden_users, peer_of
from vmaild.listening.address import address_of
from vmaild.process import LogOnce

logger = logging.getLogger("vmaild.listening")

ACCEPTS = 32
"""Connections taken in one turn of the loop: each costs some 50 microseconds, and requests wait for so long."""

RETRY = 1.0
"""Seconds until accept(2) is tried again when the system had no descriptor or memory for a connection."""

HAND_OVER = 1.0
"""Seconds for the last connections to reach their protocol when accepting ends. It takes one turn of the loop."""

HANDSHAKE = 5.0
"""Seconds for a TLS handshake. A client that needs more has held a place long enough."""

EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Door(Protocol):
    """Whether there is room for a connection, and what is counted."""

    def has_room(self) -> bool:
        """Whether one more may come in now."""

    def make_room(self) -> None:
        """One waits for which there is none. ``Acceptor.resume`` is to be called when there may be."""

    def coming(self, change: int) -> None:
        """So many connections more, or less, are accepted and not yet handed to their protocol."""

    def denied(self) -> None:
        """A connection was closed because of who was at the other end."""


class Acceptor:
    """Accepts on ``sock``, which it owns from now on, for protocols from ``factory``.

    A protocol must not close its transport in ``connection_made``: uvloop then never finishes the hand-over.
    ``once`` logs what concerns many connections; ``door`` decides about room. With ``tls`` a connection reaches its
    protocol after the handshake, for which it has ``HANDSHAKE`` seconds.
    """

    def __init__(
        self,
        sock: socket.socket,
        factory: Callable[[], asyncio.Protocol],
        door: Door,
        access: Access = EVERYONE,
        once: LogOnce | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.address = address_of(sock)
        self._sock = sock
        self._factory = factory
        self._door = door
        self._access = access
        self._tls = tls
        self._once = once or LogOnce(logger)
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._retry: asyncio.TimerHandle | None = None
        self._reading = False
        if sock.family != socket.AF_UNIX:
            # Accepted sockets inherit it, and it is set once.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if (access.uids or access.gids) and hidden_users():
            logger.warning(
                "%s: allow_uid and allow_gid keep nearly everybody out: this process sees other users as %d"
                " (PrivateUsers= of the unit; set it to no)",
                *(self.address, NOBODY),
            )
        self.resume()

    def use(self, factory: Callable[[], asyncio.Protocol], access: Access, tls: ssl.SSLContext | None = None) -> None:
        """Accept for protocols from ``factory``, whom ``access`` admits, and with ``tls``, from now on."""
        self._factory = factory
        self._access = access
        self._tls = tls

    def resume(self) -> None:
        """Accept again, after the door had no room. Does nothing when it is accepting, waiting or closed."""
        if not self._reading and self._retry is None and self._sock.fileno() >= 0:
            self._loop.add_reader(self._sock, self._accept)
            self._reading = True

    async def close(self) -> None:
        """Stop accepting and close the socket. Connections that have come in are handed over, and stay."""
        self._pause()
        if self._retry is not None:
            self._retry.cancel()
        self._sock.close()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=HAND_OVER)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _pause(self) -> None:
        if self._reading:
            self._loop.remove_reader(self._sock)
            self._reading = False

    def _accept(self) -> None:
        if not self._door.has_room():
            self._pause()
            self._door.make_room()
            return
        for _ in range(ACCEPTS):
            if not self._door.has_room():
                # Only the next turn can tell whether another is waiting.
                return
            try:
                connection, _ = self._sock.accept()
            except BlockingIOError:
                return
            except OSError as error:
                # The others concern the one connection, accept(2).
                if error.errno in EXHAUSTED:
                    self._wait(error)
                    return
                continue
            self._take_on(connection)

    def _wait(self, error: OSError) -> None:
        self._once.log(logging.ERROR, "accept", f"no connection can be accepted: {error.strerror}")
        self._pause()
        self._retry = self._loop.call_later(RETRY, self._try_again)

    def _try_again(self) -> None:
        self._retry = None
        self.resume()

    def _take_on(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        if self._access.limited and not self._admitted(connection):
            connection.close()
            return
        self._door.coming(1)
        task = self._loop.create_task(self._hand_over(connection))
        self._tasks.add(task)
        task.add_done_callback(self._handed_over)

    def _admitted(self, connection: socket.socket) -> bool:
        peer: InetPeer | UnixPeer | str = "a client that has gone"
        with contextlib.suppress(OSError):
            peer = peer_of(connection)
            if self._access.admits(peer):
                return True
        self._door.denied()
        kind = "allow_uid, allow_gid" if isinstance(peer, UnixPeer) else "allow"
        self._once.log(
            logging.WARNING, ("denied", str(self.address)), f"{self.address}: {peer} is not in {kind}: closed"
        )
        return False

    async def _hand_over(self, connection: socket.socket) -> None:
        try:
            if self._tls is None:
                await self._loop.connect_accepted_socket(self._factory, connection)
            else:
                await self._loop.connect_accepted_socket(
                    self._factory, connection, ssl=self._tls, ssl_handshake_timeout=HANDSHAKE
                )
        except OSError:
            connection.close()

    def _handed_over(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._door.coming(-1)
