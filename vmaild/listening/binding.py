"""Binding the addresses to listen on. Every failure is an ``OSError`` that names the address.

A socket file that nobody listens on is left over from a dead process and is replaced. One that is listened
on, and a file that is no socket, are refused and left alone.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from vmaild.listening.access import group_number, user_number
from vmaild.listening.address import LOOPBACK, Address, InetAddress, UnixAddress

if TYPE_CHECKING:
    from collections.abc import Iterator

LISTEN_BACKLOG = 1024
"""Connections that wait for accept(). A Postfix master that starts all its processes at once connects from
each; a refused connection is not tried again there. The kernel lowers this to net.core.somaxconn."""

_NO_SUCH_ADDRESS = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


def bind(
    address: Address, mode: int | None = None, owner: str | int = "", group: str | int = ""
) -> list[socket.socket]:
    """Listening sockets for ``address``; mode, owner and group matter to a unix one only (``bind_unix``)."""
    if isinstance(address, UnixAddress):
        return [bind_unix(address.path, mode, owner, group)]
    return bind_inet(address)


def bind_inet(address: InetAddress) -> list[socket.socket]:
    """Listening sockets for ``address``: one, or two for ``localhost`` where IPv6 is there."""
    if address.host != "localhost":
        return [_bind_host(address.host, address.port)]
    bound: list[socket.socket] = []
    port = address.port
    try:
        for host in LOOPBACK:
            with _absent_address_ignored(address):
                bound.append(_bind_host(host, port))
                port = bound[0].getsockname()[1]
    except OSError:
        for sock in bound:
            sock.close()
        raise
    if not bound:
        raise OSError(errno.EADDRNOTAVAIL, "no loopback address", str(address))
    return bound


@contextlib.contextmanager
def _absent_address_ignored(address: InetAddress) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_SUCH_ADDRESS:
            raise


def _bind_host(host: str, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if sock.family == socket.AF_INET6:
            # Else [::] takes the IPv4 port too, and a second listener on 0.0.0.0 fails.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((host, port))
        sock.listen(LISTEN_BACKLOG)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        raise OSError(error.errno, error.strerror, str(InetAddress(host, port))) from error
    return sock


def bind_unix(path: str, mode: int | None = None, owner: str | int = "", group: str | int = "") -> socket.socket:
    """A listening socket at ``path``.

    ``mode`` is the file's exact mode, whatever the umask; None leaves it to the umask. ``owner`` and
    ``group`` are names or numbers; empty leaves them as they are. With a mode, there is no moment at which
    anyone else may connect. Raises OSError, with EADDRINUSE when another process listens there.
    """
    try:
        uid = -1 if owner == "" else user_number(owner)
        gid = -1 if group == "" else group_number(group)
    except ValueError as error:
        raise OSError(errno.EINVAL, str(error), f"unix:{path}") from None
    with _start_lock(path):
        _remove_stale(path)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            if mode is not None:
                # Linux gives the file this mode less the umask, and unlike os.umask() it does not concern the
                # whole process. The group and others are let in last, when the owner is right.
                os.fchmod(sock.fileno(), mode & 0o600)
            sock.bind(path)
            if (uid, gid) != (-1, -1):
                os.chown(path, uid, gid, follow_symlinks=False)
            if mode is not None:
                Path(path).chmod(mode)
            sock.listen(LISTEN_BACKLOG)
            sock.setblocking(False)
        except OSError as error:
            sock.close()
            _remove_stale(path)
            raise OSError(error.errno, error.strerror, f"unix:{path}") from error
    return sock


def remove_unix(path: str) -> None:
    """Take away the socket file at ``path`` if nobody listens on it: call it after closing the socket."""
    with contextlib.suppress(OSError), _start_lock(path):
        _remove_stale(path)


@contextlib.contextmanager
def _start_lock(path: str) -> Iterator[None]:
    """Keep another vmaild from binding ``path`` during that.

    Between "nobody listens there" and listen() another could come to the same conclusion, and one would remove the
    other's live socket. The lock is on a file that only its owner can open, since flock(2) asks for no more than a
    descriptor: on the directory, any user who may read it could hold it for ever. The file is gone afterwards.
    """
    lock = _locked(f"{path}.lock", path)
    try:
        yield
    finally:
        Path(f"{path}.lock").unlink(missing_ok=True)
        os.close(lock)


def _locked(file: str, path: str) -> int:
    while True:
        lock = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(lock).st_uid != os.geteuid():
                raise OSError(errno.EADDRINUSE, "another user's file is in the way", file)
            os.fchmod(lock, 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Its owner before has removed it: then this lock keeps nobody out.
            if os.fstat(lock).st_nlink:
                return lock
        except BlockingIOError:
            os.close(lock)
            raise OSError(errno.EADDRINUSE, "another process is binding here", f"unix:{path}") from None
        except OSError:
            os.close(lock)
            raise
        os.close(lock)


def _remove_stale(path: str) -> None:
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise OSError(errno.EADDRINUSE, "a file that is no socket is in the way", f"unix:{path}")
    if _listened_on(path):
        raise OSError(errno.EADDRINUSE, "another process listens there", f"unix:{path}")
    Path(path).unlink(missing_ok=True)


def _listened_on(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        # A blocking connect waits while the other's backlog is full; this one says EAGAIN, which is "alive".
        probe.setblocking(False)
        return probe.connect_ex(path) not in (errno.ECONNREFUSED, errno.ENOENT)
