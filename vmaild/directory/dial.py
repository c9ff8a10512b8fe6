"""TCP and unix connections to a server, by the event loop: name, connect and a first answer, none of it blocking.

libldap resolves names and connects in the loop's thread, holding everything up for as long as the network likes. So
nothing is given to it before ``answers`` has seen the server accept a connection and answer on it; a listener
whose backlog is full, or whose process is stopped, is found out here.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Any

from vmaild.directory import ber
from vmaild.directory.uri import Endpoint

# Of a peer that vanished without a word: unacknowledged data gives up after 10 s; an idle connection is probed
# after 15 s, thrice.
USER_TIMEOUT_MS = 10_000
KEEPALIVE_IDLE = 15
KEEPALIVE_INTERVAL = 5
KEEPALIVE_COUNT = 3

MAX_ADDRESSES = 8
"""Addresses of one name that are tried."""


def set_keepalive(sock: socket.socket) -> None:
    """Make the kernel notice a TCP peer that vanished."""
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_INTERVAL)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEPALIVE_COUNT)


async def dial(endpoint: Endpoint, seconds: float) -> socket.socket:
    """A connected non-blocking socket to ``endpoint``, which the caller owns.

    Each address of the name gets an equal part of ``seconds``, so that a dead one leaves time for the next. Raises
    ``OSError`` or ``TimeoutError``.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    if endpoint.scheme == "ldapi":
        async with asyncio.timeout_at(end):
            return await _connect(socket.AF_UNIX, endpoint.path)
    async with asyncio.timeout_at(end):
        found = await loop.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    addresses = found[:MAX_ADDRESSES]
    wrong: OSError = OSError(f"no address for {endpoint.host!r}")
    for place, (family, _, _, _, address) in enumerate(addresses):
        now = loop.time()
        try:
            async with asyncio.timeout_at(now + (end - now) / (len(addresses) - place)):
                return await _connect(family, address)
        except OSError as error:  # TimeoutError is one
            wrong = error
    try:
        raise wrong
    finally:
        del wrong  # its traceback holds this frame


async def _connect(family: int, address: tuple[Any, ...] | str) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock


async def exchange(sock: socket.socket, request: bytes) -> bytes:
    """Send one LDAP request on an otherwise unused socket and return the first message that comes back."""
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(sock, request)
    answer = b""
    while True:
        size = ber.message_size(answer)
        if size is not None and len(answer) >= size:
            # One byte more than asked for would be lost to the next reader of the socket.
            return answer
        more = await loop.sock_recv(sock, 2 if size is None else size - len(answer))
        if not more:
            raise ConnectionResetError("the server hung up")
        answer += more


async def answers(endpoint: Endpoint, seconds: float) -> str:
    """Make sure that the server answers LDAP, and return its URL with a number in the place of the name.

    Raises ``OSError``, ``TimeoutError``, or ``ValueError`` for what is no LDAP server.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    with await dial(endpoint, seconds) as sock:
        async with asyncio.timeout_at(end):
            await exchange(sock, ber.extended_request(ber.WHO_AM_I))
        with contextlib.suppress(OSError):
            sock.send(ber.UNBIND)
        if endpoint.scheme == "ldapi":
            return local_url(endpoint.path)
        host, port = sock.getpeername()[:2]
        return f"ldap://[{host}]:{port}" if sock.family == socket.AF_INET6 else f"ldap://{host}:{port}"


def local_url(path: str) -> str:
    """The ldapi:// URL for ``path``, each byte quoted: it stands where a URL has its host."""
    return "ldapi://" + "".join(f"%{byte:02x}" for byte in path.encode())
