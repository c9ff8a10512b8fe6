"""The control socket: both ends against each other, and each against a broken other."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import stat
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.loops import on_each_loop
from vmaild.admin.control import MAX_COMMAND, ControlError, ControlProtocol, ControlServer, flush, stats


class Recorder:
    """Commands that remember how they were called."""

    def __init__(self) -> None:
        self.flushed: list[Any] = []
        self.told = {"cache": {"found": 3}, "servers": [{"uri": "ldap://a", "up": True}]}

    def flush(self, map_name: Any, key: Any) -> int:
        self.flushed.append((map_name, key))
        return 7

    def stats(self) -> Any:
        return self.told


@pytest.fixture
def commands() -> Any:
    return Recorder()


@contextlib.asynccontextmanager
async def serving(commands: Any, directory: Any, **options: Any) -> AsyncIterator[Any]:
    """A control server; gives its path."""
    server = ControlServer(str(directory / "control"), commands, **options)
    await server.start()
    try:
        yield server.path
    finally:
        await server.close()


@on_each_loop
async def test_stats_arrive_as_the_daemon_told_them(commands: Any, tmp_path: Path) -> None:
    async with serving(commands, tmp_path) as path:
        assert await asyncio.to_thread(stats, path) == commands.told


@pytest.mark.parametrize(
    ("map_name", "key"),
    [
        (None, None),
        (b"virtual_alias_maps", None),
        (b"virtual_alias_maps", b"user@domain2.example"),
        (b"virtual_alias_maps", b'"john doe"@domain2.example'),
        (b"virtual_alias_maps", b""),
        (b"m%20", b"a%0Ab"),
        (b"m", bytes(range(256))),
        (b"m", b"\xff" * 10_000),
    ],
)
@on_each_loop
async def test_flush_carries_any_map_and_key_unchanged(commands: Any, tmp_path: Path, map_name: Any, key: Any) -> None:
    async with serving(commands, tmp_path) as path:
        assert await asyncio.to_thread(flush, path, map_name, key) == 7
    assert commands.flushed == [(map_name, key)]


@on_each_loop
async def test_the_socket_is_for_its_owner_only_from_its_first_moment(
    commands: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    control = tmp_path / "control"
    seen = []

    def mode() -> Any:
        return stat.S_IMODE(control.stat().st_mode)

    class Watched(socket.socket):
        def bind(self, address: Any) -> None:
            super().bind(address)
            seen.append(mode())

        def listen(self, *args: Any) -> Any:
            seen.append(mode())
            return super().listen(*args)

    old = os.umask(0)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(socket, "socket", Watched)
            server = ControlServer(str(control), commands)
            await server.start()
    finally:
        os.umask(old)
    seen.append(mode())
    await server.close()
    assert len(seen) >= 3
    assert set(seen) == {0o600}


@on_each_loop
async def test_closing_removes_the_socket_file(commands: Any, tmp_path: Path) -> None:
    async with serving(commands, tmp_path):
        assert [file.name for file in tmp_path.iterdir()] == ["control"]
    assert list(tmp_path.iterdir()) == []


@on_each_loop
async def test_the_file_of_a_dead_daemon_is_replaced(commands: Any, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "control"))
        dead.listen()
    async with serving(commands, tmp_path) as path:
        assert await asyncio.to_thread(flush, path) == 7


@on_each_loop
async def test_the_socket_of_a_live_daemon_is_refused_and_keeps_working(commands: Any, tmp_path: Path) -> None:
    async with serving(commands, tmp_path) as path:
        with pytest.raises(OSError, match="another process listens there"):
            await ControlServer(path, Recorder()).start()
        assert await asyncio.to_thread(stats, path) == commands.told


@pytest.mark.parametrize("line", [b"", b"flush a b c", b"stats now", b"FLUSH", b"stop", b" flush", b"\xff\x00"])
def test_an_unknown_command_does_nothing_and_says_so(commands: Any, line: bytes) -> None:
    answer = json.loads(ControlProtocol(commands).answer(line))
    assert answer["usage"]
    assert answer["error"].startswith("unknown command: expected one of flush, stats")
    assert commands.flushed == []


def test_a_line_typed_by_hand_may_end_in_cr(commands: Any) -> None:
    assert ControlProtocol(commands).answer(b"flush\r") == b'{"flushed":7}\n'


@on_each_loop
async def test_a_command_over_the_limit_is_refused(commands: Any, tmp_path: Path) -> None:
    async with serving(commands, tmp_path) as path:
        with pytest.raises(ControlError, match="at most"):
            await asyncio.to_thread(flush, path, b"m", b"x" * MAX_COMMAND)
    assert commands.flushed == []


@on_each_loop
async def test_a_command_that_fails_is_an_error_and_the_daemon_lives(
    commands: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    commands.told = {"not for json": {1, 2}}
    async with serving(commands, tmp_path) as path:
        with pytest.raises(ControlError, match="the command failed"):
            await asyncio.to_thread(stats, path)
        assert "set is not JSON serializable" in caplog.text
        assert await asyncio.to_thread(flush, path) == 7


@on_each_loop
async def test_connections_over_the_limit_are_refused(commands: Any, tmp_path: Path) -> None:
    async with serving(commands, tmp_path, max_connections=1) as path:
        _, held = await asyncio.open_unix_connection(path)
        reader, writer = await asyncio.open_unix_connection(path)
        assert json.loads(await reader.read()) == {"error": "too many control connections"}
        writer.close()
        held.close()


@on_each_loop
async def test_a_client_that_sends_no_command_is_cut_at_the_deadline(commands: Any, tmp_path: Path) -> None:
    async with serving(commands, tmp_path, deadline=0.05) as path:
        reader, writer = await asyncio.open_unix_connection(path)
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()


def test_without_a_daemon_the_client_says_so(tmp_path: Path) -> None:
    path = str(tmp_path / "control")
    with pytest.raises(ControlError, match="does not exist"):
        stats(path)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    with pytest.raises(ControlError, match="nobody listens"):
        stats(path)


def test_a_key_without_a_map_is_a_mistake_of_the_caller(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="belongs to a map"):
        flush(str(tmp_path / "control"), None, b"key")


@pytest.fixture
def answering(tmp_path: Path) -> Iterator[Any]:
    """Starts a daemon that says ``answer`` to whatever comes, and then closes or stays silent."""
    path = str(tmp_path / "control")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    done = threading.Event()
    threads = []

    def start(answer: Any, close: bool = True) -> Any:
        def run() -> None:
            sock, _ = listener.accept()
            with sock:
                sock.recv(1000)
                sock.sendall(answer)
                if not close:
                    done.wait(20)

        threads.append(threading.Thread(target=run))
        threads[-1].start()
        return path

    yield start
    done.set()
    for thread in threads:
        thread.join()
    listener.close()


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\n", "not JSON"),
        (b"[]\n", "no JSON object"),
        (b'{"stats": 3}\n', "no stats"),
        (b"{}\n", "no stats"),
        (b'{"error": "no"}\n', "no$"),
    ],
)
def test_a_strange_answer_is_an_error_that_says_what_is_wrong(answering: Any, answer: bytes, complaint: str) -> None:
    with pytest.raises(ControlError, match=complaint):
        stats(answering(answer))


def test_a_flush_without_a_count_is_an_error(answering: Any) -> None:
    with pytest.raises(ControlError, match="no count"):
        flush(answering(b'{"flushed": "all"}\n'))


def test_a_silent_daemon_is_given_up_at_the_timeout(answering: Any) -> None:
    with pytest.raises(ControlError, match=r"within 0\.2 seconds"):
        stats(answering(b'{"stats": ', close=False), timeout=0.2)


# --- answers that take a while


class Slow:
    """A console whose queries end when they are told to."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.ended = asyncio.Event()
        self.cancelled = False

    async def query(self, name: Any, key: Any) -> Any:
        try:
            await self.go_on.wait()
            if key == b"bad":
                raise RuntimeError("a bug")
            return {"status": "OK", "text": key.decode()}
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        finally:
            self.ended.set()


@on_each_loop
async def test_others_are_answered_while_one_answer_takes_a_while(commands: Any, tmp_path: Path) -> None:
    slow = Slow()
    async with serving(commands, tmp_path, console=slow) as path:
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"query m k\n")
        assert await asyncio.to_thread(flush, path) == 7
        slow.go_on.set()
        assert json.loads(await reader.readline()) == {"status": "OK", "text": "k"}
        writer.close()


@on_each_loop
async def test_a_client_that_has_said_all_still_gets_its_answer(commands: Any, tmp_path: Path) -> None:
    slow = Slow()
    async with serving(commands, tmp_path, console=slow) as path:
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"query m k\n")
        writer.write_eof()
        await asyncio.to_thread(flush, path)
        slow.go_on.set()
        assert json.loads(await reader.readline()) == {"status": "OK", "text": "k"}
        writer.close()


@pytest.mark.slow
@on_each_loop
async def test_an_answer_that_nobody_waits_for_any_more_is_cancelled(commands: Any, tmp_path: Path) -> None:
    slow = Slow()
    async with serving(commands, tmp_path, console=slow) as path:
        _, writer = await asyncio.open_unix_connection(path)
        writer.write(b"query m k\n")
        await asyncio.to_thread(flush, path)
        writer.transport.abort()
        await asyncio.wait_for(slow.ended.wait(), 20)
    assert slow.cancelled


@on_each_loop
async def test_what_is_under_way_ends_with_the_server_and_with_the_deadline(commands: Any, tmp_path: Path) -> None:
    slow, late = Slow(), Slow()
    async with serving(commands, tmp_path, console=slow) as path:
        _, writer = await asyncio.open_unix_connection(path)
        writer.write(b"query m k\n")
        await asyncio.to_thread(flush, path)
    assert slow.cancelled
    writer.close()
    async with serving(commands, tmp_path, console=late, deadline=0.1) as path:
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"query m k\n")
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
        await asyncio.wait_for(late.ended.wait(), 20)
    assert late.cancelled
    writer.close()


async def test_an_answer_that_fails_is_logged_and_not_told(
    commands: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    slow = Slow()
    slow.go_on.set()
    async with serving(commands, tmp_path, console=slow) as path:
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"query m bad\n")
        assert json.loads(await reader.readline()) == {"error": "the command failed; see the daemon's log"}
        writer.close()
    assert "a bug" in caplog.text
