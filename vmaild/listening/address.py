"""Addresses to listen on, in Postfix's notation. Pure, but for asking a socket for its own name.

``inet:HOST:PORT`` has a numeric host (``127.0.0.1``, ``[::1]``) or ``localhost``, which stands for both loopback
addresses (RFC 6761, 6.3); ``unix:PATH`` has an absolute path. Other host names are refused: a daemon that
asks DNS which address to listen on does not start when DNS is down.
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket
from dataclasses import dataclass

MAX_UNIX_PATH = 107
"""sun_path of unix(7) has 108 bytes, with a NUL at the end."""

LOOPBACK = ("127.0.0.1", "::1")

_INET = re.compile(r"(?:\[(?P<host6>[^\]]*)\]|(?P<host>[^:\[\]]*)):(?P<port>[0-9]{1,5})", re.ASCII)


@dataclass(frozen=True, slots=True)
class InetAddress:
    """A TCP address. ``host`` is ``localhost`` or numeric, without brackets. Port 0: any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"inet:[{self.host}]:{self.port}" if ":" in self.host else f"inet:{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """The absolute path of a socket file."""

    path: str

    def __str__(self) -> str:
        return f"unix:{self.path}"


Address = InetAddress | UnixAddress


def parse_address(text: str) -> Address:
    """The address that ``text`` names, or ValueError that says in plain words what is wrong with it."""
    kind, colon, rest = text.partition(":")
    if colon and kind == "inet":
        return _parse_inet(rest)
    if colon and kind == "unix":
        return _parse_unix(rest)
    raise ValueError(f"{text!r} is no address: expected inet:HOST:PORT or unix:PATH")


def _parse_inet(rest: str) -> InetAddress:
    match = _INET.fullmatch(rest)
    if match is None:
        raise ValueError(f"{rest!r} is not HOST:PORT (IPv6 in brackets, as in inet:[::1]:10143)")
    host = match["host6"] if match["host6"] is not None else match["host"]
    port = int(match["port"])
    if port > 65535:
        raise ValueError(f"port {port} is over 65535")
    if host.lower() == "localhost":
        return InetAddress("localhost", port)
    try:
        number = ipaddress.ip_address(host)
    except ValueError:
        raise ValueError(f"{host!r} is neither a numeric address nor localhost") from None
    if (number.version == 6) != (match["host6"] is not None):
        raise ValueError(f"{host!r}: brackets belong around IPv6 addresses, and only there")
    return InetAddress(str(number), port)


def _parse_unix(path: str) -> UnixAddress:
    if not path.startswith("/"):
        raise ValueError(f"{path!r} is not an absolute path")
    if "\0" in path:
        raise ValueError("the path holds a NUL")
    length = len(os.fsencode(path))
    if length > MAX_UNIX_PATH:
        raise ValueError(f"the path has {length} bytes, and a socket's can have {MAX_UNIX_PATH}")
    return UnixAddress(path)


def address_of(sock: socket.socket) -> Address:
    """The address that ``sock`` is bound to."""
    if sock.family == socket.AF_UNIX:
        return UnixAddress(os.fsdecode(sock.getsockname()))
    host, port = sock.getsockname()[:2]
    return InetAddress(str(ipaddress.ip_address(host)), port)


def overlap(one: Address, other: Address) -> bool:
    """Whether both cannot be listened on at one time. Port 0 is another port each time."""
    if isinstance(one, UnixAddress) or isinstance(other, UnixAddress):
        return isinstance(one, UnixAddress) and isinstance(other, UnixAddress) and _path(one) == _path(other)
    if one.port != other.port or not one.port:
        return False
    return any(_same_host(a, b) for a in _hosts(one) for b in _hosts(other))


def _path(address: UnixAddress) -> str:
    return os.path.normpath(address.path)


def _hosts(address: InetAddress) -> tuple[str, ...]:
    return LOOPBACK if address.host == "localhost" else (address.host,)


def _same_host(one: str, other: str) -> bool:
    first, second = ipaddress.ip_address(one), ipaddress.ip_address(other)
    return first.version == second.version and (first == second or first.is_unspecified or second.is_unspecified)


def claim(address: Address, inherited: list[socket.socket]) -> list[socket.socket]:
    """Take the sockets bound to ``address`` out of ``inherited`` and return them; none is no error.

    Goes by the address and not by the name of the descriptor, since systemd gives all the sockets of one unit
    the same name. What is left over in ``inherited`` at the end belongs to no listener: its clients would
    connect and never be answered.
    """
    wanted: set[Address] = {address}
    if isinstance(address, InetAddress) and address.host == "localhost":
        wanted = {InetAddress(host, address.port) for host in LOOPBACK}
    claimed = [sock for sock in inherited if address_of(sock) in wanted]
    inherited[:] = [sock for sock in inherited if sock not in claimed]
    return claimed
