"""Messages that do not lie whole in the socket's buffer: gathered here for libldap, or thrown away.

libldap keeps a part of a message to itself, and then nobody knows any more where the next one begins. So it is given
whole messages only. One that comes in pieces is gathered first, and then handed to libldap through a socket pair that
stands in the place of its own socket for that moment (``feed``).
"""

from __future__ import annotations

import fcntl
import os
import socket
import termios
from collections.abc import Callable
from typing import TypeVar

PIECE = 65_536
"""Bytes taken from the socket at a time."""

HEAD = 6
"""Bytes of a message that has not told its length yet: no message is shorter than seven."""

T = TypeVar("T")


def available(sock: socket.socket) -> int:
    """How many bytes lie in the socket's buffer."""
    return int.from_bytes(fcntl.ioctl(sock, termios.FIONREAD, b"\0\0\0\0"), "little")


class Gathered:
    """A message of ``size`` bytes on its way, 0 as long as that is not known."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.data = bytearray()

    @property
    def complete(self) -> bool:
        """Whether all of it is here."""
        return len(self.data) == self.size

    def take(self, sock: socket.socket) -> int:
        """Take what is there of it; returns how many bytes, 0 at the end of the stream."""
        # One byte at a time past the first six, as long as the length is not known.
        wanted = self.size - len(self.data) if self.size else max(1, HEAD - len(self.data))
        piece = sock.recv(min(wanted, PIECE))
        self.data += piece
        return len(piece)


class Skipped:
    """The ``size`` bytes of a message that nobody wants."""

    def __init__(self, size: int) -> None:
        self.size = size

    @property
    def complete(self) -> bool:
        """Whether all of it has gone."""
        return self.size == 0

    def take(self, sock: socket.socket) -> int:
        """Throw away what is there of it; returns how many bytes, 0 at the end of the stream."""
        taken = len(sock.recv(min(self.size, PIECE)))
        self.size -= taken
        return taken


def feed(fd: int, message: bytes, read: Callable[[], T | None]) -> T | None:
    """Let ``read`` find ``message`` on the descriptor ``fd``, whatever else that one is; returns what it returns.

    ``fd`` is another socket during that, and this does not return to the loop before it is itself again: what watches
    it does not notice.
    """
    ours, libldaps = socket.socketpair()
    own = os.dup(fd)
    try:
        ours.setblocking(False)
        libldaps.setblocking(False)
        os.dup2(libldaps.fileno(), fd, inheritable=False)
        got = None
        rest = memoryview(message)
        while rest:
            rest = rest[ours.send(rest) :]
            got = read()
        return got
    finally:
        os.dup2(own, fd, inheritable=False)
        os.close(own)
        ours.close()
        libldaps.close()
