"""The talk with systemd, against sockets and environments of the tests' own."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vmaild.process.systemd import (
    MAX_LISTEN_FDS,
    Notifier,
    credential,
    feed_watchdog,
    listen_sockets,
    watchdog_interval,
)


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Any]:
    """The socket that systemd would listen on, and the environment that names it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.setblocking(False)
        yield sock, {"NOTIFY_SOCKET": str(tmp_path / "notify")}


def test_each_state_is_one_datagram_of_assignments(manager: Any) -> None:
    sock, environ = manager
    notifier = Notifier(environ)
    assert notifier.ready("serving")
    assert notifier.alive()
    assert notifier.status("2 servers up")
    assert notifier.reloading(12.5)
    assert notifier.stopping()
    assert [sock.recv(500) for _ in range(5)] == [
        b"READY=1\nSTATUS=serving",
        b"WATCHDOG=1",
        b"STATUS=2 servers up",
        b"RELOADING=1\nMONOTONIC_USEC=12500000",
        b"STOPPING=1",
    ]


def test_an_abstract_socket_is_notified() -> None:
    name = f"vmaild-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(f"\0{name}")
        sock.setblocking(False)
        assert Notifier({"NOTIFY_SOCKET": f"@{name}"}).ready()
        assert sock.recv(100) == b"READY=1"


def test_a_line_break_in_a_status_begins_no_assignment(manager: Any) -> None:
    sock, environ = manager
    Notifier(environ).status("down\nWATCHDOG=1")
    assert sock.recv(500) == b"STATUS=down WATCHDOG=1"


def test_without_systemd_nothing_is_sent_and_nothing_fails() -> None:
    assert Notifier({}).ready() is False


def test_a_manager_that_is_gone_is_no_error(tmp_path: Path) -> None:
    assert Notifier({"NOTIFY_SOCKET": str(tmp_path / "absent")}).ready() is False


def test_a_manager_that_does_not_read_is_not_waited_for(manager: Any) -> None:
    _, environ = manager
    notifier = Notifier(environ)
    sent = [notifier.alive() for _ in range(2000)]
    assert sent[0] is True
    assert sent[-1] is False


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "77"}, 30.0),
        ({"WATCHDOG_USEC": "500000"}, 0.5),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "78"}, None),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": ""}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "-5"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_interval_is_in_seconds_and_for_this_process_only(environ: Any, seconds: Any) -> None:
    assert watchdog_interval(environ, pid=77) == seconds


async def test_the_watchdog_is_fed_twice_in_each_interval(manager: Any) -> None:
    sock, environ = manager
    slept = []

    async def sleep(seconds: Any) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await feed_watchdog(Notifier(environ), 30.0, sleep)
    assert slept == [15.0, 15.0, 15.0]
    assert [sock.recv(100) for _ in range(3)] == [b"WATCHDOG=1"] * 3


@pytest.fixture
def three_descriptors() -> Iterator[Any]:
    """Two listening sockets and a plain file in neighbouring descriptors, as systemd would pass them."""
    first = 900
    held = [socket.create_server(("127.0.0.1", 0)), socket.create_server(("127.0.0.1", 0))]
    for offset, sock in enumerate(held):
        os.dup2(sock.fileno(), first + offset)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, first + 2)
    os.close(null)
    yield first, [sock.getsockname() for sock in held]
    for sock in held:
        sock.close()
    for descriptor in range(first, first + 3):
        with contextlib.suppress(OSError):
            os.close(descriptor)


def test_inherited_sockets_come_by_name_and_the_environment_forgets_them(three_descriptors: Any) -> None:
    first, addresses = three_descriptors
    environ = {"LISTEN_FDS": "2", "LISTEN_PID": "77", "LISTEN_FDNAMES": "lookups:http", "PATH": "/bin"}
    sockets = listen_sockets(environ, pid=77, first=first)
    try:
        assert {name: [sock.getsockname() for sock in held] for name, held in sockets.items()} == {
            "lookups": [addresses[0]],
            "http": [addresses[1]],
        }
        assert environ == {"PATH": "/bin"}
        for sock in (sockets["lookups"][0], sockets["http"][0]):
            assert not sock.get_inheritable()
            assert not sock.getblocking()
    finally:
        for held in sockets.values():
            for sock in held:
                sock.close()


def test_sockets_of_one_unit_share_its_name(three_descriptors: Any) -> None:
    first, addresses = three_descriptors
    environ = {"LISTEN_FDS": "2", "LISTEN_PID": "77", "LISTEN_FDNAMES": "vmaild.socket:vmaild.socket"}
    sockets = listen_sockets(environ, pid=77, first=first)
    assert [sock.getsockname() for sock in sockets["vmaild.socket"]] == addresses
    for sock in sockets["vmaild.socket"]:
        sock.close()


def test_sockets_without_names_are_called_unknown(three_descriptors: Any) -> None:
    first, _ = three_descriptors
    sockets = listen_sockets({"LISTEN_FDS": "2", "LISTEN_PID": "77"}, pid=77, first=first)
    assert list(sockets) == ["unknown"]
    for sock in sockets["unknown"]:
        sock.close()


@pytest.mark.parametrize("pid", ["78", "", "no number"])
def test_sockets_for_another_process_are_left_alone(pid: str) -> None:
    environ = {"LISTEN_FDS": "2", "LISTEN_PID": pid}
    assert listen_sockets(environ, pid=77, first=900) == {}
    assert environ == {}


def test_a_descriptor_that_is_no_socket_stops_the_start(three_descriptors: Any) -> None:
    first, _ = three_descriptors
    with pytest.raises(OSError, match=r"descriptor 902 \(unknown\) is no socket"):
        listen_sockets({"LISTEN_FDS": "1", "LISTEN_PID": "77"}, pid=77, first=first + 2)


def test_a_socket_that_does_not_listen_stops_the_start() -> None:
    with socket.socket() as sock, pytest.raises(OSError, match="no listening stream socket"):
        listen_sockets({"LISTEN_FDS": "1", "LISTEN_PID": "77"}, pid=77, first=sock.fileno())


def test_an_absurd_count_of_sockets_stops_the_start() -> None:
    environ = {"LISTEN_FDS": str(MAX_LISTEN_FDS + 1), "LISTEN_PID": "77"}
    with pytest.raises(OSError, match="over"):
        listen_sockets(environ, pid=77, first=900)


def test_a_credential_is_found_by_name(tmp_path: Path) -> None:
    (tmp_path / "bind_pw").write_text("secret")
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert credential("bind_pw", environ) == Path(tmp_path, "bind_pw")
    assert credential("other", environ) is None
    assert credential("bind_pw", {}) is None
