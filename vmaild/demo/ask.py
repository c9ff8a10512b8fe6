"""A blocking socketmap client for one lookup at a time: the demo asks as Postfix does, over the wire."""

from __future__ import annotations

import socket

from vmaild.errors import ProtocolError
from vmaild.listening import Address, InetAddress
from vmaild.lookup import Reply, Request
from vmaild.wire import socketmap

SECONDS = 10.0
"""How long a lookup may take: seconds. vmaild itself answers within its ``timeout``."""

_CHUNK = 65536


def ask(address: Address, map_name: str, key: str) -> Reply:
    """One lookup on a connection of its own. Raises ``OSError`` or ``ProtocolError`` when there is no answer."""
    replies = socketmap.SocketmapReplies()
    with connect(address) as connection:
        connection.sendall(socketmap.encode_request(Request(map_name.encode(), key.encode())))
        while True:
            reply = replies.next()
            if reply is not None:
                return reply
            received = connection.recv(_CHUNK)
            if not received:
                raise ProtocolError("the server closed the connection without an answer")
            replies.feed(received)


def connect(address: Address) -> socket.socket:
    """A connection that gives up after ``SECONDS``. Raises ``OSError``."""
    if isinstance(address, InetAddress):
        return socket.create_connection((address.host, address.port), SECONDS)
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(SECONDS)
    try:
        connection.connect(address.path)
    except OSError:
        connection.close()
        raise
    return connection
