"""What systemd and a service say to each other, without a library.

To systemd: ``Notifier`` sends the assignments of sd_notify(3), one datagram each, to the socket that
``NOTIFY_SOCKET`` names. From systemd: ``watchdog_interval`` (sd_watchdog_enabled(3)), ``listen_sockets``
(sd_listen_fds(3)) and ``credential`` (systemd.exec(5), LoadCredential=).

Everything comes from an environment that is passed in. Without systemd all of it does nothing: no socket to
notify, no interval, no sockets, no credentials.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, MutableMapping

logger = logging.getLogger("vmaild.process")

LISTEN_FDS_START = 3
"""sd_listen_fds(3): the first inherited descriptor."""

MAX_LISTEN_FDS = 256
"""A unit with more sockets than this is a mistake; the count is read from text."""

MAX_STATUS = 500
"""STATUS= is one line for `systemctl status`; systemd's own buffer takes 4096 bytes."""

WATCHDOG_TURNS = 2
"""sd_watchdog_enabled(3) advises half of the interval, so that one late turn of the loop is forgiven."""


class Notifier:
    """Tells the service manager how the service is doing. Each call returns whether it was sent.

    A datagram that cannot be sent is logged and forgotten: a service must not fail over its own progress
    report, nor wait for its reader.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        """Reads ``NOTIFY_SOCKET``: the path of a socket, or ``@`` and the name of an abstract one."""
        self._address = environ.get("NOTIFY_SOCKET", "")

    def ready(self, status: str = "") -> bool:
        """Start-up is over, or a reload is."""
        return self._send("READY=1", *_status(status))

    def stopping(self, status: str = "") -> bool:
        """The service has begun to stop."""
        return self._send("STOPPING=1", *_status(status))

    def reloading(self, now: float) -> bool:
        """A reload has begun, at ``now`` of CLOCK_MONOTONIC in seconds; ``ready`` ends it."""
        return self._send("RELOADING=1", f"MONOTONIC_USEC={int(now * 1_000_000)}")

    def status(self, text: str) -> bool:
        """One line for ``systemctl status``."""
        return self._send(*_status(text))

    def alive(self) -> bool:
        """Feeds the watchdog."""
        return self._send("WATCHDOG=1")

    def _send(self, *assignments: str) -> bool:
        if not self._address or not assignments:
            return False
        address = self._address.encode("utf-8", "surrogateescape")
        if address.startswith(b"@"):
            address = b"\0" + address[1:]
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.setblocking(False)
                sock.sendto("\n".join(assignments).encode(), address)
        except OSError as error:
            logger.warning("cannot notify the service manager: %s", error)
            return False
        return True


def _status(text: str) -> tuple[str, ...]:
    # A line break would begin another assignment.
    return (f"STATUS={' '.join(text.split())[:MAX_STATUS]}",) if text else ()


async def feed_watchdog(
    notifier: Notifier, interval: float, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> NoReturn:
    """Feeds the watchdog in time, for ever. As a task of the loop it stops when the loop stands still.

    ``interval``: seconds from ``watchdog_interval``, within which systemd wants to hear something.
    """
    while True:
        notifier.alive()
        await sleep(interval / WATCHDOG_TURNS)


def watchdog_interval(environ: Mapping[str, str] = os.environ, pid: int | None = None) -> float | None:
    """The seconds within which systemd wants to hear ``Notifier.alive``, or None when it does not.

    ``pid`` is this process (default: ``os.getpid()``). An interval meant for another process is ignored.
    """
    microseconds = _number(environ.get("WATCHDOG_USEC", ""))
    if not microseconds or not _meant_for(environ.get("WATCHDOG_PID"), pid):
        return None
    return microseconds / 1_000_000


def listen_sockets(
    environ: MutableMapping[str, str] = os.environ, pid: int | None = None, first: int = LISTEN_FDS_START
) -> dict[str, list[socket.socket]]:
    """The listening sockets that systemd hands over, by the name of their descriptor.

    The variables are removed from ``environ``, so that no child takes the sockets for its own. Raises OSError
    when a descriptor is not a listening stream socket: the unit file is wrong then, and starting without it
    would leave clients waiting.
    """
    count = _number(environ.pop("LISTEN_FDS", ""))
    listen_pid = environ.pop("LISTEN_PID", "")
    names = environ.pop("LISTEN_FDNAMES", "").split(":")
    if not count or not _meant_for(listen_pid, pid):
        return {}
    if count > MAX_LISTEN_FDS:
        raise OSError(f"LISTEN_FDS={count} is over {MAX_LISTEN_FDS}")
    sockets: dict[str, list[socket.socket]] = {}
    for index in range(count):
        name = names[index] if index < len(names) and names[index] else "unknown"
        sockets.setdefault(name, []).append(_listener(first + index, name))
    return sockets


def _listener(descriptor: int, name: str) -> socket.socket:
    where = f"inherited descriptor {descriptor} ({name})"
    try:
        sock = socket.socket(fileno=descriptor)
    except OSError as error:
        raise OSError(error.errno, f"{where} is no socket") from error
    if sock.type != socket.SOCK_STREAM or not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        sock.detach()
        raise OSError(f"{where} is no listening stream socket")
    sock.set_inheritable(False)
    sock.setblocking(False)
    return sock


def credential(name: str, environ: Mapping[str, str] = os.environ) -> Path | None:
    """The file of the credential ``name``, or None when systemd has not passed it."""
    directory = environ.get("CREDENTIALS_DIRECTORY", "")
    if not directory:
        return None
    path = Path(directory, name)
    return path if path.is_file() else None


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() else 0


def _meant_for(value: str | None, pid: int | None) -> bool:
    return value is None or _number(value) == (os.getpid() if pid is None else pid)
