"""From nothing to a bound connection, step by step on the event loop; cancelled at any step, it leaves nothing behind.

bonsai first runs ldap_initialize(3) in a thread and signals its end on a socket pair, whose descriptor serves as the
message id of the whole opening; then it connects and sends the bind in one go, then awaits the answer. The connect
blocks: it must be to something that accepts at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket

from bonsai._bonsai import ldapconnection

from vmaild.directory.failures import FOREIGN

INIT_PAUSE = 0.001
"""Seconds between checks of bonsai's start-up thread once it has signalled its end: the thread's last step."""


class Bind:
    """Opens ``connection``, a new one."""

    def __init__(self, connection: ldapconnection) -> None:
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._message = ldapconnection.open(connection)
        self._initialised = False
        self._watched = -1

    async def run(self) -> int:
        """The descriptor of the bound connection. Raises what bonsai raises; sets ``dead`` then."""
        try:
            await self._readable(self._connection.fileno())
            self._initialised = True
            while self._connection.get_result(self._message) is None:
                await self._progress()
        except BaseException:
            self._connection.dead = True
            self._discard()
            raise
        return int(self._connection.fileno())

    async def _progress(self) -> None:
        fd = self._connection.fileno()
        if fd == self._message:
            await asyncio.sleep(INIT_PAUSE)
            return
        os.set_blocking(fd, False)
        await self._readable(fd)

    async def _readable(self, fd: int) -> None:
        ready = self._loop.create_future()
        self._loop.add_reader(fd, _set, ready)
        self._watched = fd
        try:
            await ready
        finally:
            if self._initialised or (ready.done() and not ready.cancelled()):
                self._unwatch()

    def _unwatch(self) -> None:
        self._loop.remove_reader(self._watched)
        self._watched = -1

    def _discard(self) -> None:
        """Free what bonsai holds for an opening that failed: it would stay for ever otherwise."""
        if not self._initialised:
            # The thread still runs: libldap's handle does not exist yet. Come back when it does.
            self._loop.remove_reader(self._watched)
            self._loop.add_reader(self._watched, self._discard_late)
            return
        with contextlib.suppress(*FOREIGN):
            fd = self._connection.fileno()
            if fd == self._message:
                self._connection.get_result(self._message)
                fd = self._connection.fileno()
            if fd == self._message:
                return
            with socket.socket(fileno=os.dup(fd)) as copy, contextlib.suppress(OSError):
                copy.shutdown(socket.SHUT_RDWR)
            # Each read takes the opening one step on, until it sees the end of the stream and gives up.
            for _ in range(4):
                self._connection.get_result(self._message)

    def _discard_late(self) -> None:
        self._unwatch()
        self._initialised = True
        self._discard()


def _set(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
