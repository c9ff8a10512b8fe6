"""Accepting connections, and leaving them in the backlog."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.loops import on_each_loop
from vmaild.listening import Acceptor, Access, InetAddress, bind_inet, bind_unix, parse_networks
from vmaild.listening import acceptor as acceptor_module


class Room:
    """A door that counts."""

    def __init__(self, places: int) -> None:
        self.places = places
        self.on_the_way = 0
        self.asked = 0
        self.kept_out = 0

    def has_room(self) -> bool:
        return self.places > self.on_the_way

    def make_room(self) -> None:
        self.asked += 1

    def coming(self, change: int) -> None:
        self.on_the_way += change

    def denied(self) -> None:
        self.kept_out += 1


class Greeting(asyncio.Protocol):
    """Says hello and closes."""

    def __init__(self, room: Room) -> None:
        self._room = room

    def connection_made(self, transport: Any) -> None:
        self._room.places -= 1
        transport.write(b"hello")
        transport.close()


@contextlib.asynccontextmanager
async def accepting(room: Room, sock: socket.socket, **options: object) -> AsyncIterator[Any]:
    acceptor = Acceptor(sock, lambda: Greeting(room), room, **options)
    try:
        yield acceptor
    finally:
        await acceptor.close()


def inet() -> tuple[socket.socket, InetAddress]:
    (sock,) = bind_inet(InetAddress("127.0.0.1", 0))
    return sock, InetAddress("127.0.0.1", sock.getsockname()[1])


async def greeted(address: InetAddress, seconds: float = 5.0) -> bytes:
    reader, writer = await asyncio.open_connection(address.host, address.port)
    try:
        return await asyncio.wait_for(reader.read(), seconds)
    finally:
        writer.close()
        await writer.wait_closed()


@on_each_loop
async def test_connections_without_room_wait_unharmed_until_there_is() -> None:
    sock, address = inet()
    room = Room(2)
    async with accepting(room, sock) as acceptor:
        clients = [asyncio.create_task(greeted(address)) for _ in range(5)]
        await asyncio.wait(clients, timeout=0.3)
        assert sum(client.done() for client in clients) == 2
        assert room.asked == 1
        room.places = 3
        acceptor.resume()
        assert await asyncio.gather(*clients) == [b"hello"] * 5


@on_each_loop
async def test_a_system_without_descriptors_is_waited_for_and_reported_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(acceptor_module, "RETRY", 0.05)
    sock, address = inet()
    failures = [OSError(errno.EMFILE, "Too many open files")] * 3

    class Failing(socket.socket):
        def accept(self) -> Any:
            if failures:
                raise failures.pop()
            return super().accept()

    failing = Failing(fileno=sock.detach())
    async with accepting(Room(9), failing):
        assert await greeted(address) == b"hello"
    assert [record.getMessage() for record in caplog.records if record.name == "vmaild.listening"] == [
        "no connection can be accepted: Too many open files"
    ]


@on_each_loop
async def test_a_client_from_elsewhere_is_closed_at_once_counted_and_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sock, address = inet()
    room = Room(9)
    async with accepting(room, sock, access=Access(parse_networks(["192.0.2.0/24"]))):
        assert [await greeted(address) for _ in range(3)] == [b""] * 3
    assert (room.kept_out, room.places) == (3, 9)
    (message,) = [record.getMessage() for record in caplog.records if record.name == "vmaild.listening"]
    assert message == f"{address}: 127.0.0.1 is not in allow: closed"


UID = os.getuid() or 65534
GID = 65534 if os.getuid() == 0 else os.getgid()
CLIENT = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); print(s.recv(9).decode())"


@pytest.mark.parametrize(
    ("access", "answer"),
    [
        (Access(), b"hello"),
        (Access(uids=frozenset({UID})), b"hello"),
        (Access(uids=frozenset({UID + 1})), b""),
        (Access(gids=frozenset({GID})), b"hello"),
        (Access(uids=frozenset({UID + 1}), gids=frozenset({GID + 1})), b""),
    ],
)
@on_each_loop
async def test_a_process_of_another_user_is_let_in_by_its_user_or_group(
    service_home: Path, access: Access, answer: bytes
) -> None:
    path = str(service_home / "s")
    other = {"user": UID, "group": GID, "extra_groups": []} if os.getuid() == 0 else {}
    room = Room(9)
    async with accepting(room, bind_unix(path, 0o666), access=access):
        # Not an interpreter of the environment: that may be in a directory closed to others.
        command = ["/usr/bin/python3", "-I", "-c", CLIENT, path]
        client = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=False, timeout=20, **other)
    assert client.stdout.strip() == answer
    assert room.kept_out == (not answer)


@on_each_loop
async def test_closing_hands_over_who_has_come_in_and_refuses_the_rest() -> None:
    sock, address = inet()
    room = Room(9)
    async with accepting(room, sock) as acceptor:
        client = asyncio.create_task(greeted(address))
        while not room.on_the_way and room.places == 9:  # noqa: ASYNC110
            await asyncio.sleep(0)
        await acceptor.close()
        assert await client == b"hello"
        with pytest.raises(ConnectionRefusedError):
            await greeted(address)


@on_each_loop
async def test_a_process_that_cannot_tell_users_apart_warns_at_its_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(acceptor_module, "hidden_users", lambda: True)
    async with accepting(Room(9), bind_unix(str(tmp_path / "s")), access=Access(gids=frozenset({5}))):
        assert "PrivateUsers=" in caplog.text
