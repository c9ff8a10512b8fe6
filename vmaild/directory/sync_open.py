"""The way to a server for vmaild's own LDAP: dialled, encrypted, and every wait bounded; no bonsai in it.

The same steps as the relay's (name, connect, StartTLS, TLS), for a protocol of the caller's. For a server on this
machine too: nothing in a stream blocks, so there is no direct way beside it.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import TypeVar, cast

from vmaild.directory import ber
from vmaild.directory.dial import dial, exchange, set_keepalive
from vmaild.directory.relay import TLS_GOODBYE, StartTlsRefused
from vmaild.directory.uri import Endpoint

P = TypeVar("P", bound=asyncio.Protocol)


async def connect(
    endpoint: Endpoint, context: ssl.SSLContext | None, protocol: Callable[[], P], *, start_tls: bool, seconds: float
) -> P:
    """A new ``protocol()`` on a connection to ``endpoint``, encrypted by ``context`` if there is one.

    ``connection_made`` is called once, with the transport to write to. Raises ``OSError`` (with ssl's errors),
    ``TimeoutError``, and ``ValueError`` for what is no LDAP server; nothing is left open then.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    sock = await dial(endpoint, seconds)
    try:
        set_keepalive(sock)
        async with asyncio.timeout_at(end):
            if context is None:
                return (await loop.create_connection(protocol, sock=sock))[1]
            if start_tls:
                code = ber.extended_result(await exchange(sock, ber.extended_request(ber.STARTTLS)))
                if code != 0:
                    raise StartTlsRefused(f"StartTLS was refused with LDAP result {code}")
            return await _encrypted(sock, context, endpoint.host, protocol)
    except BaseException:
        sock.close()
        raise


async def _encrypted(sock: socket.socket, context: ssl.SSLContext, host: str, protocol: Callable[[], P]) -> P:
    # Not by create_connection(ssl=...): cancelled in the handshake, uvloop's leaves an exception that nobody sees.
    loop = asyncio.get_running_loop()
    plain, _ = await loop.create_connection(_Silent, sock=sock)
    if plain.is_closing():
        raise ConnectionResetError("the server hung up before the TLS handshake")
    made = protocol()
    try:
        encrypted = await loop.start_tls(plain, made, context, server_hostname=host, ssl_shutdown_timeout=TLS_GOODBYE)
    except BaseException:
        plain.abort()
        raise
    if encrypted is None:
        raise ConnectionResetError("the server hung up in the TLS handshake")
    made.connection_made(encrypted)
    return made


class _Silent(asyncio.Protocol):
    """Holds the place until TLS begins: what the server sends before is the handshake's, so nothing is read."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).pause_reading()
