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
        self._given_up = False
        self._initialised = asyncio.Event()
        # It stays until it fires, whatever happens meanwhile: before, libldap's handle does not exist yet.
        self._loop.add_reader(self._message, self._signalled)

    async def run(self) -> int:
        """The descriptor of the bound connection. Raises what bonsai raises."""
        try:
            await self._initialised.wait()
            while self._connection.get_result(self._message) is None:
                await self._progress()
        except BaseException:
            self._given_up = True
            if self._initialised.is_set():
                self._discard()
            raise
        return int(self._connection.fileno())

    def _signalled(self) -> None:
        self._loop.remove_reader(self._message)
        self._initialised.set()
        if self._given_up:
            self._discard()

    async def _progress(self) -> None:
        fd = self._connection.fileno()
        if fd == self._message:
            await asyncio.sleep(INIT_PAUSE)
            return
        os.set_blocking(fd, False)
        ready = self._loop.create_future()
        self._loop.add_reader(fd, _set, ready)
        try:
            await ready
        finally:
            self._loop.remove_reader(fd)

    def _discard(self) -> None:
        """Free what bonsai holds for an opening that is not wanted: it would stay for ever otherwise."""
        try:
            fd = self._connection.fileno()
            if fd != self._message:
                with socket.socket(fileno=os.dup(fd)) as copy, contextlib.suppress(OSError):
                    copy.shutdown(socket.SHUT_RDWR)
            # Each takes the opening one step on, until it sees the end of the stream and gives up, or is bound.
            if self._connection.get_result(self._message) is None:
                self._loop.call_later(INIT_PAUSE, self._discard)
            else:
                self._connection.close()
        except FOREIGN:
            pass


def _set(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
