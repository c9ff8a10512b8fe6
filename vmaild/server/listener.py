"""One ``[[listen]]`` table: its sockets, and who answers on them.

``plan`` compares the tables of another configuration with the listeners there are, by their addresses, and binds what
is new; nothing has changed until ``Server.follow`` puts the plan into force.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from vmaild.listening import (
    Acceptor,
    Address,
    Door,
    UnixAddress,
    address_of,
    bind,
    claim,
    group_number,
    parse_address,
    remove_unix,
    user_number,
)
from vmaild.process import LogOnce
from vmaild.server.context import Context
from vmaild.server.dialect import SOCKETMAP, tcp
from vmaild.server.hot_path import HotConnection
from vmaild.server.recent import Recent
from vmaild.server.settings import ListenSettings


class Listener:
    """Listening sockets of ``settings``, taken out of ``inherited`` or bound. Raises OSError."""

    def __init__(self, settings: ListenSettings, inherited: list[socket.socket]) -> None:
        self.settings = settings
        self.recent = Recent()
        self._acceptors: list[Acceptor] = []
        address = self.address
        self._sockets = claim(address, inherited)
        self._own_path = ""
        self.passed = bool(self._sockets)
        """Whether somebody else, systemd, opened the sockets and keeps them open."""
        if not self._sockets:
            self._sockets = bind(address, settings.mode, settings.owner, settings.group)
            if isinstance(address, UnixAddress):
                self._own_path = address.path
        self.addresses = [address_of(sock) for sock in self._sockets]
        """Where it listens, with the port number that port 0 became."""

    @property
    def address(self) -> Address:
        """The address as configured."""
        return parse_address(self.settings.address)

    def open(self, context: Context, door: Door, once: LogOnce) -> None:
        """Begin to accept."""
        for sock in self._sockets:
            factory = self._factory(context)
            self._acceptors.append(Acceptor(sock, factory, door, self.settings.access, once))
        context.recents.append(self.recent)

    def follow(self, settings: ListenSettings, context: Context) -> Recent | None:
        """Go by other settings of the same address from now on.

        Returns what connections that came before have in common, when they would be answered otherwise now.
        """
        before, self.settings = self.settings, settings
        stale = None
        if (before.protocol, before.map) != (settings.protocol, settings.map):
            stale, self.recent = self.recent, Recent()
            stale.clear()
            context.recents[:] = [recent for recent in context.recents if recent is not stale] + [self.recent]
        for acceptor in self._acceptors:
            acceptor.use(self._factory(context), settings.access)
        return stale

    def set_file(self, settings: ListenSettings) -> None:
        """Give the socket's file mode, owner and group. Raises OSError."""
        before = self.settings
        if not self._own_path or settings.mode is None:
            return
        if (before.mode, before.owner, before.group) != (settings.mode, settings.owner, settings.group):
            uid = user_number(settings.owner) if settings.owner else -1
            gid = group_number(settings.group) if settings.group else -1
            os.chown(self._own_path, uid, gid, follow_symlinks=False)
            Path(self._own_path).chmod(settings.mode)

    def resume(self) -> None:
        """Accept again, where that was paused."""
        for acceptor in self._acceptors:
            acceptor.resume()

    async def close(self) -> None:
        """Accept no more. Connections that have come in stay."""
        acceptors, self._acceptors = self._acceptors, []
        for acceptor in acceptors:
            await acceptor.close()
        for sock in self._sockets:
            sock.close()
        if self._own_path:
            remove_unix(self._own_path)
            self._own_path = ""

    def _factory(self, context: Context) -> Callable[[], HotConnection]:
        settings, recent = self.settings, self.recent
        dialect = SOCKETMAP if settings.protocol == "socketmap" else tcp(settings.map.encode())
        return lambda: HotConnection(context, dialect, recent)


@dataclass(frozen=True, slots=True)
class Plan:
    """What becomes of the listeners: those that stay with their new settings, the new ones, and those that go."""

    staying: tuple[tuple[Listener, ListenSettings], ...]
    coming: tuple[Listener, ...]
    going: tuple[Listener, ...]

    @property
    def warnings(self) -> list[str]:
        """What the keeper of the sockets of a removed listener should know."""
        return [
            f"systemd goes on listening on {listener.address}, and nobody answers there: take it out of vmaild.socket"
            for listener in self.going
            if listener.passed
        ]

    async def drop(self) -> None:
        """It is not put into force after all."""
        for listener in self.coming:
            await listener.close()


async def plan(listeners: Iterable[Listener], wanted: Iterable[ListenSettings], inherited: list[socket.socket]) -> Plan:
    """What must change for ``wanted``. Raises OSError when an address cannot be had, and has bound none then."""
    left = list(listeners)
    staying, coming = [], []
    try:
        for settings in wanted:
            address = parse_address(settings.address)
            listener = next((listener for listener in left if listener.address == address), None)
            if listener is None:
                coming.append(Listener(settings, inherited))
            else:
                left.remove(listener)
                listener.set_file(settings)
                staying.append((listener, settings))
    except BaseException:
        await Plan((), tuple(coming), ()).drop()
        raise
    return Plan(tuple(staying), tuple(coming), tuple(left))
