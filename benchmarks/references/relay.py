"""A TCP relay that holds back what comes from the server: a slow directory, made of a fast one."""

from __future__ import annotations

import asyncio
from typing import cast


class Upstream(asyncio.Protocol):
    """The server's side: its bytes go to the client ``delay`` seconds later."""

    def __init__(self, client: asyncio.Transport, delay: float) -> None:
        self._client = client
        self._delay = delay
        self._loop = asyncio.get_running_loop()

    def data_received(self, data: bytes) -> None:
        self._loop.call_later(self._delay, self._client.write, data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._loop.call_later(self._delay, self._client.close)


class Relay(asyncio.Protocol):
    """The client's side: its bytes go to the server at once."""

    def __init__(self, host: str, port: int, delay: float) -> None:
        self._host = host
        self._port = port
        self._delay = delay
        self._waiting: list[bytes] = []
        self._server: asyncio.Transport | None = None
        self._connect: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._connect = asyncio.get_running_loop().create_task(self._open())

    def data_received(self, data: bytes) -> None:
        if self._server is None:
            self._waiting.append(data)
        else:
            self._server.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._server is not None:
            self._server.close()

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            transport, _ = await loop.create_connection(
                lambda: Upstream(self._transport, self._delay), self._host, self._port
            )
        except OSError:
            self._transport.close()
            return
        self._server = transport
        for data in self._waiting:
            transport.write(data)
        if self._transport.is_closing():
            transport.close()
