"""Listening sockets: addresses in Postfix's notation, binding them safely, and finding inherited ones.

``parse_address`` is pure. ``bind_inet`` and ``bind_unix`` return listening, non-blocking sockets, ready for
``loop.create_server(sock=..., backlog=LISTEN_BACKLOG)`` or its unix sister (which listen again, with a
backlog of 100 when none is given); ``remove_unix`` takes the file away at the end. ``claim`` picks the
sockets of an address out of those that systemd holds open.
"""

from vmaild.listening.address import (
    Address,
    InetAddress,
    UnixAddress,
    address_of,
    claim,
    parse_address,
)
from vmaild.listening.binding import LISTEN_BACKLOG, bind, bind_inet, bind_unix, remove_unix

__all__ = [
    "LISTEN_BACKLOG",
    "Address",
    "InetAddress",
    "UnixAddress",
    "address_of",
    "bind",
    "bind_inet",
    "bind_unix",
    "claim",
    "parse_address",
    "remove_unix",
]
