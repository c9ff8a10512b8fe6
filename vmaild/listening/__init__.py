"""Listening sockets: addresses in Postfix's notation, binding them safely, accepting on them, and who may connect.

``parse_address`` is pure. ``bind_inet`` and ``bind_unix`` return listening, non-blocking sockets, which an ``Acceptor``
serves; ``remove_unix`` takes the file away at the end. ``claim`` picks the sockets of an address out of those that
systemd holds open. ``Access`` says who may connect, ``Door`` how many, ``ServerCertificate`` how TLS is spoken.
"""

from vmaild.listening.acceptor import Acceptor, Door
from vmaild.listening.access import EVERYONE, Access, group_number, loopback, parse_networks, user_number
from vmaild.listening.address import (
    Address,
    InetAddress,
    UnixAddress,
    address_of,
    claim,
    overlap,
    parse_address,
)
from vmaild.listening.binding import LISTEN_BACKLOG, bind, bind_inet, bind_unix, remove_unix
from vmaild.listening.tls import ServerCertificate, read_certificate

__all__ = [
    "EVERYONE",
    "LISTEN_BACKLOG",
    "Acceptor",
    "Access",
    "Address",
    "Door",
    "InetAddress",
    "ServerCertificate",
    "UnixAddress",
    "address_of",
    "bind",
    "bind_inet",
    "bind_unix",
    "claim",
    "group_number",
    "loopback",
    "overlap",
    "parse_address",
    "parse_networks",
    "read_certificate",
    "remove_unix",
    "user_number",
]
