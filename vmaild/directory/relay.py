"""The relay: bonsai speaks ldapi:// to a private unix socket, the event loop does the network and TLS behind it.

libldap does name lookup, TCP connect and TLS handshake blocking, with the interpreter's lock held, and its time
limits do not cover them: a server that accepts and stays silent stops the whole process for minutes. So
for every server that is not on this machine, or that wants TLS, vmaild makes the connection itself, and then
lets bonsai connect to a unix socket that leads there.

``passage`` first makes the outer connection, so that its errors are seen as they are; then it listens on a new
socket in ``directory`` (mode 0700), takes exactly one connection, and only from this process, and joins the two.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

from vmaild.directory import ber
from vmaild.directory.dial import dial, exchange, local_url, set_keepalive
from vmaild.directory.uri import Endpoint

TLS_GOODBYE = 2.0
"""Seconds that a closing TLS connection waits for the server's close_notify."""

_PEER = struct.Struct("3i")  # pid, uid, gid (unix(7), SO_PEERCRED)
_numbers = itertools.count()


class StartTlsRefused(OSError):
    """The server does not do StartTLS; going on in clear text is out of the question."""


class _Side(asyncio.Protocol):
    """One half of a joined pair: what arrives here goes out there, at the pace of the slower."""

    def __init__(self) -> None:
        self.peer: _Side | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        # Nothing may arrive before there is somewhere to send it.
        self.transport.pause_reading()

    def data_received(self, data: bytes) -> None:
        if self.peer is not None and self.peer.transport is not None:
            self.peer.transport.write(data)

    def pause_writing(self) -> None:
        if self.peer is not None and self.peer.transport is not None:
            self.peer.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.peer is not None and self.peer.transport is not None:
            self.peer.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        peer, self.peer = self.peer, None
        if peer is not None and peer.transport is not None:
            peer.transport.close()

    def close(self) -> None:
        if self.transport is not None:
            self.transport.abort()


class _Inner(_Side):
    """The side towards bonsai: joins itself to the outer connection when it comes from this process."""

    def __init__(self, outer: _Side) -> None:
        super().__init__()
        self._outer = outer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        outer = self._outer
        if outer.peer is not None or outer.transport is None or not _from_this_process(transport):
            self.close()
            return
        self.peer, outer.peer = outer, self
        outer.transport.resume_reading()
        assert self.transport is not None
        self.transport.resume_reading()


def _from_this_process(transport: asyncio.BaseTransport) -> bool:
    sock = transport.get_extra_info("socket")
    pid, _, _ = _PEER.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
    return bool(pid == os.getpid())


@contextlib.asynccontextmanager
async def passage(
    endpoint: Endpoint, context: ssl.SSLContext | None, *, start_tls: bool, directory: Path, seconds: float
) -> AsyncIterator[str]:
    """The ldapi:// URL of a new way to ``endpoint``, good for one connect inside the ``async with``.

    ``context`` encrypts, after StartTLS when ``start_tls``. Raises ``OSError`` (with ssl's errors), ``TimeoutError``
    and ``ValueError``. What was joined lives on after the block; what was not is closed.
    """
    outer = await _outer(endpoint, context, start_tls=start_tls, seconds=seconds)
    loop = asyncio.get_running_loop()
    path = directory / str(next(_numbers))
    try:
        # Not started at once: cancelled in that, asyncio's would be left open.
        server = await loop.create_unix_server(lambda: _Inner(outer), str(path), backlog=1, start_serving=False)
        try:
            await server.start_serving()
            yield local_url(str(path))
        finally:
            server.close()
            path.unlink(missing_ok=True)
    finally:
        if outer.peer is None:
            outer.close()


async def _outer(endpoint: Endpoint, context: ssl.SSLContext | None, *, start_tls: bool, seconds: float) -> _Side:
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    sock = await dial(endpoint, seconds)
    try:
        set_keepalive(sock)
        async with asyncio.timeout_at(end):
            if context is not None and start_tls:
                await _start_tls(sock)
            transport, side = await loop.create_connection(_Side, sock=sock)
            if context is not None:
                await _encrypt(transport, side, context, endpoint.host)
    except BaseException:
        sock.close()
        raise
    return side


async def _encrypt(transport: asyncio.Transport, side: _Side, context: ssl.SSLContext, host: str) -> None:
    # Not by create_connection(ssl=...): cancelled in the handshake, uvloop's leaves an exception that nobody sees.
    if side.transport is None or transport.is_closing():
        raise ConnectionResetError("the server hung up before the TLS handshake")
    try:
        encrypted = await asyncio.get_running_loop().start_tls(
            transport, side, context, server_hostname=host, ssl_shutdown_timeout=TLS_GOODBYE
        )
    except BaseException:
        transport.abort()
        raise
    if encrypted is None:
        raise ConnectionResetError("the server hung up in the TLS handshake")
    side.connection_made(encrypted)


async def _start_tls(sock: socket.socket) -> None:
    """Ask for StartTLS (RFC 4511, 4.14). It is the first thing on the connection, before any secret."""
    code = ber.extended_result(await exchange(sock, ber.extended_request(ber.STARTTLS)))
    if code != 0:
        raise StartTlsRefused(f"StartTLS was refused with LDAP result {code}")
