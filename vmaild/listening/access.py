"""Who may connect: networks for inet listeners, users and groups for unix ones.

``Access`` is pure: who the other side is, is an argument. ``peer_of`` asks the kernel: an address, or with SO_PEERCRED
and SO_PEERGROUPS (unix(7)) the user and all groups of the process at the other end.
"""

from __future__ import annotations

import contextlib
import grp
import ipaddress
import pwd
import socket
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from vmaild.listening.address import Address, InetAddress

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_UCRED = struct.Struct("iII")
# <asm-generic/socket.h>; Python has no name for it.
_SO_PEERGROUPS = 59
_MAX_GROUPS = 65_536

NOBODY = 65_534
"""What the kernel shows for users without a number in the process's user namespace."""


@dataclass(frozen=True, slots=True)
class InetPeer:
    """The other end of a TCP connection."""

    host: str

    def __str__(self) -> str:
        return self.host


@dataclass(frozen=True, slots=True)
class UnixPeer:
    """The process at the other end of a unix connection, as it was when it connected."""

    uid: int
    gids: frozenset[int]

    def __str__(self) -> str:
        return f"uid {self.uid}, gids {' '.join(map(str, sorted(self.gids)))}"


@dataclass(frozen=True, slots=True)
class Access:
    """Who may connect. Without networks every address may, without users and groups every process.

    root always may connect to a unix listener: it can become any of the others.
    """

    networks: tuple[Network, ...] = ()
    uids: frozenset[int] = frozenset()
    gids: frozenset[int] = frozenset()

    def admits(self, peer: InetPeer | UnixPeer) -> bool:
        """Whether ``peer`` may connect."""
        if isinstance(peer, UnixPeer):
            unlimited = not (self.uids or self.gids)
            return unlimited or peer.uid == 0 or peer.uid in self.uids or not self.gids.isdisjoint(peer.gids)
        if not self.networks:
            return True
        address: ipaddress.IPv4Address | ipaddress.IPv6Address
        address = ipaddress.ip_address(peer.host.partition("%")[0])
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
            # A socket of systemd's that takes both kinds.
            address = address.ipv4_mapped
        return any(address in network for network in self.networks)

    @property
    def limited(self) -> bool:
        """Whether anyone is kept out."""
        return bool(self.networks or self.uids or self.gids)


EVERYONE = Access()


def peer_of(sock: socket.socket) -> InetPeer | UnixPeer:
    """Who is at the other end. OSError when it is gone already."""
    if sock.family != socket.AF_UNIX:
        return InetPeer(sock.getpeername()[0])
    _, uid, gid = _UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    gids = {gid}
    with contextlib.suppress(OSError):
        listed = sock.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, 4 * _MAX_GROUPS)
        gids.update(struct.unpack(f"{len(listed) // 4}I", listed))
    return UnixPeer(uid, frozenset(gids))


def parse_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """The networks named, or ValueError that says what to write instead."""
    return tuple(map(_network, texts))


def _network(text: str) -> Network:
    try:
        network = ipaddress.ip_network(text)
    except ValueError:
        try:
            meant = ipaddress.ip_network(text, strict=False)
        except ValueError:
            raise ValueError(f"{text!r} is no network: write an address or a network such as 192.0.2.0/24") from None
        raise ValueError(f"{text!r} has bits set behind its prefix: write {str(meant)!r}") from None
    if network.prefixlen == 0:
        raise ValueError(f"{text!r} is everybody: write the networks of the hosts that ask")
    return network


def user_number(name: str | int) -> int:
    """The uid of a user by name or number. Raises ValueError for an unknown name."""
    return _number(name, "user", lambda known: pwd.getpwnam(known).pw_uid)


def group_number(name: str | int) -> int:
    """The gid of a group by name or number. Raises ValueError for an unknown name."""
    return _number(name, "group", lambda known: grp.getgrnam(known).gr_gid)


def _number(name: str | int, what: str, find: Callable[[str], int]) -> int:
    if isinstance(name, int) or (name.isascii() and name.isdecimal()):
        return int(name)
    try:
        return find(name)
    except KeyError:
        raise ValueError(f"no such {what}: {name}") from None


def loopback(address: Address) -> bool:
    """Whether only this machine reaches ``address``; a unix socket is reached by whom its directory lets in."""
    if not isinstance(address, InetAddress):
        return True
    return address.host == "localhost" or ipaddress.ip_address(address.host).is_loopback


def hidden_users() -> bool:
    """Whether the process sees few users' numbers, as with PrivateUsers= of systemd.exec(5): others are 65534 to it."""
    with contextlib.suppress(OSError, ValueError), open("/proc/self/uid_map", encoding="ascii") as file:  # noqa: PTH123
        return sum(int(line.split()[2]) for line in file) < 65_536
    return False
