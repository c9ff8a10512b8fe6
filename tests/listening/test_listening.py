"""Addresses in Postfix's notation, and binding them."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from vmaild.listening import (
    InetAddress,
    UnixAddress,
    address_of,
    bind,
    bind_inet,
    bind_unix,
    binding,
    claim,
    overlap,
    parse_address,
    remove_unix,
)
from vmaild.listening.address import MAX_UNIX_PATH


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("inet:127.0.0.1:10143", InetAddress("127.0.0.1", 10143)),
        ("inet:[::1]:10143", InetAddress("::1", 10143)),
        ("inet:localhost:0", InetAddress("localhost", 0)),
        ("inet:0.0.0.0:65535", InetAddress("0.0.0.0", 65535)),
        ("unix:/run/vmaild/lookups", UnixAddress("/run/vmaild/lookups")),
        ("unix:/a:b", UnixAddress("/a:b")),
    ],
)
def test_an_address_is_read_and_written_the_same(text: str, address: Any) -> None:
    assert parse_address(text) == address
    assert str(address) == text


def test_ipv6_has_one_spelling() -> None:
    assert parse_address("inet:[0:0::0001]:25") == InetAddress("::1", 25)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("127.0.0.1:10143", "expected inet:HOST:PORT or unix:PATH"),
        ("tcp:127.0.0.1:1", "expected inet:HOST:PORT or unix:PATH"),
        ("inet", "expected inet:HOST:PORT or unix:PATH"),
        ("", "expected inet:HOST:PORT or unix:PATH"),
        ("inet:127.0.0.1", "not HOST:PORT"),
        ("inet:127.0.0.1:", "not HOST:PORT"),
        ("inet:127.0.0.1:smtp", "not HOST:PORT"),
        ("inet:127.0.0.1:-1", "not HOST:PORT"),
        ("inet:127.0.0.1:\u0661", "not HOST:PORT"),
        ("inet:::1:25", "not HOST:PORT"),
        ("inet:127.0.0.1:65536", "over 65535"),
        ("inet::25", "neither a numeric address"),
        ("inet:mail.example:25", "neither a numeric address"),
        ("inet:127.1:25", "neither a numeric address"),
        ("inet:[127.0.0.1]:25", "brackets"),
        ("unix:", "not an absolute path"),
        ("unix:run/x", "not an absolute path"),
        ("unix:/a\0b", "NUL"),
        ("unix:/" + "x" * MAX_UNIX_PATH, "108 bytes"),
    ],
)
def test_what_is_no_address_is_refused_in_plain_words(text: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse_address(text)


def listening(sock: Any) -> Any:
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1 and not sock.getblocking()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_numeric_host_is_bound_once(host: str) -> None:
    (sock,) = bind(InetAddress(host, 0))
    with sock:
        assert listening(sock)
        assert address_of(sock) == InetAddress(host, sock.getsockname()[1])


def test_localhost_is_both_loopback_addresses_on_one_port() -> None:
    first, second = bind_inet(InetAddress("localhost", 0))
    with first, second:
        assert [first.getsockname()[0], second.getsockname()[0]] == ["127.0.0.1", "::1"]
        assert first.getsockname()[1] == second.getsockname()[1]


def test_localhost_is_one_address_where_ipv6_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = binding._bind_host

    def without_ipv6(host: Any, port: Any) -> Any:
        if ":" in host:
            raise OSError(errno.EADDRNOTAVAIL, "no IPv6")
        return whole(host, port)

    monkeypatch.setattr(binding, "_bind_host", without_ipv6)
    (sock,) = bind_inet(InetAddress("localhost", 0))
    with sock:
        assert sock.getsockname()[0] == "127.0.0.1"


def test_ipv4_and_ipv6_wildcards_share_a_port() -> None:
    (six,) = bind_inet(InetAddress("::", 0))
    with six:
        (four,) = bind_inet(InetAddress("0.0.0.0", six.getsockname()[1]))
        four.close()


def test_a_taken_port_is_an_error_that_names_it() -> None:
    (sock,) = bind_inet(InetAddress("127.0.0.1", 0))
    with sock:
        port = sock.getsockname()[1]
        with pytest.raises(OSError, match=f"inet:127.0.0.1:{port}") as caught:
            bind_inet(InetAddress("127.0.0.1", port))
    assert caught.value.errno == errno.EADDRINUSE


@pytest.mark.parametrize("umask", [0, 0o077])
@pytest.mark.parametrize("mode", [0o600, 0o660, 0o666])
def test_a_socket_file_has_the_mode_that_was_asked_for(tmp_path: Path, mode: int, umask: int) -> None:
    path = tmp_path / "lookups"
    old = os.umask(umask)
    try:
        sock = bind_unix(str(path), mode)
    finally:
        os.umask(old)
    with sock:
        assert listening(sock)
        assert stat.S_IMODE(path.stat().st_mode) == mode


def test_a_socket_file_gets_its_owner_and_group_before_others_are_let_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lookups"
    modes = []
    chown = os.chown

    def recording_chown(*args: Any, **options: Any) -> None:
        modes.append(stat.S_IMODE(path.stat().st_mode))
        chown(*args, **options)

    monkeypatch.setattr(os, "chown", recording_chown)
    with bind(UnixAddress(str(path)), 0o666, str(os.getuid()), "root")[0]:
        status = path.stat()
    assert modes == [0o600]
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (os.getuid(), 0, 0o666)


@pytest.mark.parametrize(("owner", "group", "what"), [("no-such-user", "", "user"), ("", "no-such-group", "group")])
def test_an_unknown_owner_is_an_error_and_leaves_no_file(tmp_path: Path, owner: str, group: str, what: str) -> None:
    with pytest.raises(OSError, match=f"no such {what}"):
        bind_unix(str(tmp_path / "lookups"), 0o660, owner, group)
    assert list(tmp_path.iterdir()) == []


def test_a_failure_after_binding_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*args: Any, **options: Any) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "chown", refused)
    with pytest.raises(PermissionError, match="unix:"):
        bind_unix(str(tmp_path / "lookups"), 0o660, "0")
    assert list(tmp_path.iterdir()) == []


def test_the_file_of_a_dead_process_is_replaced(tmp_path: Path) -> None:
    path = str(tmp_path / "lookups")
    bind_unix(path).close()
    with bind_unix(path), socket.socket(socket.AF_UNIX) as client:
        client.connect(path)


def test_a_live_socket_is_refused_and_stays(tmp_path: Path) -> None:
    path = str(tmp_path / "lookups")
    with bind_unix(path), pytest.raises(OSError, match="another process listens there") as caught:
        bind_unix(path)
    assert caught.value.errno == errno.EADDRINUSE
    assert stat.S_ISSOCK(os.lstat(path).st_mode)


def test_a_live_socket_with_a_full_backlog_is_refused_at_once(tmp_path: Path) -> None:
    path = str(tmp_path / "lookups")
    with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as waiting:
        busy.bind(path)
        busy.listen(0)
        waiting.connect(path)
        with pytest.raises(OSError, match="another process listens there"):
            bind_unix(path)


def test_a_file_that_is_no_socket_is_refused_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "lookups"
    path.write_text("mail")
    with pytest.raises(OSError, match="no socket is in the way"):
        bind_unix(str(path))
    assert path.read_text() == "mail"


def test_a_start_at_the_same_moment_is_refused(tmp_path: Path) -> None:
    path = str(tmp_path / "lookups")
    with binding._start_lock(path), pytest.raises(OSError, match="another process is binding here"):
        bind_unix(path)
    with bind_unix(path):
        assert [file.name for file in tmp_path.iterdir()] == ["lookups"]


def test_a_lock_on_the_directory_which_any_user_can_take_keeps_nothing_from_starting(tmp_path: Path) -> None:
    directory = os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        bind_unix(str(tmp_path / "lookups")).close()
    finally:
        os.close(directory)


def test_the_lock_is_a_file_that_no_other_user_can_open(tmp_path: Path) -> None:
    lock = tmp_path / "lookups.lock"
    lock.touch(mode=0o666)
    lock.chmod(0o666)
    with binding._start_lock(str(tmp_path / "lookups")):
        assert stat.S_IMODE(lock.stat().st_mode) == 0o600
    assert not lock.exists()


def test_a_lock_whose_file_is_gone_is_taken_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock, flock = tmp_path / "lookups.lock", fcntl.flock
    removals = [lock.unlink]

    def flock_too_late(descriptor: Any, operation: Any) -> None:
        flock(descriptor, operation)
        if removals:
            removals.pop()()

    monkeypatch.setattr(fcntl, "flock", flock_too_late)
    with binding._start_lock(str(tmp_path / "lookups")):
        assert lock.exists()


def test_another_users_file_in_the_place_of_the_lock_is_named(tmp_path: Path) -> None:
    (tmp_path / "lookups.lock").touch()
    os.chown(tmp_path / "lookups.lock", 65534, -1)
    with pytest.raises(OSError, match=r"lookups\.lock"):
        bind_unix(str(tmp_path / "lookups"))


def test_twenty_starts_at_once_leave_one_listener(tmp_path: Path) -> None:
    path = str(tmp_path / "lookups")
    bind_unix(path).close()
    together = threading.Barrier(20)

    def start(_: Any) -> Any:
        together.wait(10)
        try:
            return bind_unix(path)
        except OSError:
            return None

    with ThreadPoolExecutor(20) as threads:
        won = [sock for sock in threads.map(start, range(20)) if sock is not None]
    assert len(won) == 1
    with won[0], socket.socket(socket.AF_UNIX) as client:
        client.connect(path)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("inet:127.0.0.1:25", "inet:127.0.0.1:25", True),
        ("inet:127.0.0.1:25", "inet:127.0.0.1:26", False),
        ("inet:127.0.0.1:25", "inet:127.0.0.2:25", False),
        ("inet:127.0.0.1:25", "inet:0.0.0.0:25", True),
        ("inet:127.0.0.1:25", "inet:localhost:25", True),
        ("inet:[::1]:25", "inet:localhost:25", True),
        ("inet:[::1]:25", "inet:[::]:25", True),
        ("inet:[::]:25", "inet:0.0.0.0:25", False),
        ("inet:127.0.0.1:0", "inet:127.0.0.1:0", False),
        ("unix:/run/a", "unix:/run//b/../a", True),
        ("unix:/run/a", "unix:/run/b", False),
        ("unix:/run/a", "inet:127.0.0.1:25", False),
    ],
)
def test_addresses_that_cannot_both_be_listened_on_overlap(one: str, other: str, same: bool) -> None:
    assert overlap(parse_address(one), parse_address(other)) is same
    assert overlap(parse_address(other), parse_address(one)) is same


def test_removing_takes_a_dead_file_and_leaves_a_live_one(tmp_path: Path) -> None:
    path = tmp_path / "lookups"
    sock = bind_unix(str(path))
    remove_unix(str(path))
    assert path.exists()
    sock.close()
    remove_unix(str(path))
    assert not path.exists()
    remove_unix(str(path))


def test_a_missing_directory_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="absent"):
        bind_unix(str(tmp_path / "absent" / "lookups"))


def test_inherited_sockets_are_claimed_by_address(tmp_path: Path) -> None:
    unix = bind_unix(str(tmp_path / "lookups"))
    four, six = bind_inet(InetAddress("localhost", 0))
    (other,) = bind_inet(InetAddress("127.0.0.1", 0))
    port = four.getsockname()[1]
    inherited = [unix, four, other, six]
    with unix, four, six, other:
        assert claim(InetAddress("127.0.0.1", 1), inherited) == []
        assert claim(UnixAddress(str(tmp_path / "lookups")), inherited) == [unix]
        assert claim(InetAddress("localhost", port), inherited) == [four, six]
        assert inherited == [other]
        assert claim(InetAddress("127.0.0.1", other.getsockname()[1]), inherited) == [other]
        assert inherited == []
