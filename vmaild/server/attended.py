"""Connections that ``Admission`` knows the state of, off the hot path."""

from __future__ import annotations

from vmaild.lookup import Reply, Request
from vmaild.server.admission import Admission
from vmaild.server.connection import ClientConnection, PendingReply
from vmaild.server.hot_path import SocketmapConnection, TcpTableConnection


class Attended(ClientConnection):
    """Says when it waits for its client, and when the client is gone."""

    __slots__ = ()
    admission: Admission

    @property
    def in_flight(self) -> int:
        """How many of its lookups have no reply yet."""
        return self._in_flight

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        super().connection_lost(exc)
        self.admission.left(self)

    def _take_up(self, item: Request | Reply) -> PendingReply:
        self.admission.patience.whole(self)
        return super()._take_up(item)

    def _settle(self) -> None:
        super()._settle()
        # With no room for a reply, whole requests may wait unread.
        incomplete = not self._requests.empty and self._has_room()
        self.admission.patience.settled(
            self, self._clock(), incomplete=incomplete, not_reading=self._write_paused and not self._lost
        )


class AttendedSocketmap(Attended, SocketmapConnection):
    """A connection that speaks socketmap."""

    __slots__ = ("admission",)


class AttendedTcpTable(Attended, TcpTableConnection):
    """A connection that speaks tcp_table."""

    __slots__ = ("admission",)
