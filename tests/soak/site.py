"""What is soaked: a slapd with a few thousand accounts, a proxy that can be broken, and the daemon behind it.

The daemon's standard error is a pipe of one page, read by a thread that can stop reading: a blocked log.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import os
import select
import threading
from collections.abc import Iterator
from pathlib import Path

import vmaild
from benchmarks.site.population import ldif
from tests.directory.proxy import Proxy
from tests.soak.oracle import ACCOUNTS, extra_ldif
from vmaild.cache.settings import CacheSettings
from vmaild.demo.daemon import CONTROL_SOCKET, DaemonProcess, Listen
from vmaild.demo.process import Process
from vmaild.demo.slapd import Slapd, free_port

TTL, NEGATIVE_TTL = 10.0, 4.0
"""Seconds; short, so that a run of minutes sees every record expire many times."""

HEARD_TTL = 60.0
"""Seconds, while changes arrive: so long that a change which does not arrive is found out (``verdict.HEARD``)."""

CACHE = {
    "ttl": TTL,
    "negative_ttl": NEGATIVE_TTL,
    "heard_ttl": HEARD_TTL,
    "heard_negative_ttl": HEARD_TTL,
    "max_entries": 5000,
    "max_negative_entries": 2000,
}
"""Bounds that are reached within the first floods: what grows after that has no bound."""

MAX_SIZE = 32 * 1024 * 1024
"""Bytes of the cache, where the daemon has that setting."""

CODE = Path(vmaild.__file__).parents[1]
INSIDE = Path(__file__).parent / "inside"


class LogPipe:
    """A named pipe at ``path`` and the thread that empties it into ``collected``."""

    def __init__(self, path: Path, collected: Path) -> None:
        os.mkfifo(path, 0o600)
        self.path = path
        self.collected = collected
        self.reading = threading.Event()
        self.reading.set()
        self._end = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        fcntl.fcntl(self._end, fcntl.F_SETPIPE_SZ, 4096)
        self._closed = False
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Read what is left, and end."""
        self.reading.set()
        self._closed = True
        self._thread.join(5)

    def _read(self) -> None:
        with self.collected.open("ab") as file:
            while True:
                self.reading.wait()
                # Without a writer a pipe is always readable, and empty.
                ready, _, _ = select.select([self._end], [], [], 0.1)
                data = self._read_some() if ready else b""
                file.write(data)
                file.flush()
                if not data and self._closed:
                    os.close(self._end)
                    return
                if not data:
                    threading.Event().wait(0.05)

    def _read_some(self) -> bytes:
        try:
            return os.read(self._end, 65536)
        except BlockingIOError:
            return b""


class _PipedProcess(Process):
    """Its log is a pipe, so its last words are elsewhere."""

    collected: Path

    def last_words(self) -> str:
        return self.collected.read_text(errors="replace")[-2000:] if self.collected.exists() else ""


class PipedDaemon(DaemonProcess):
    """The daemon with ``pipe`` as its standard error, and ``environment`` beside its own."""

    def pipe_to(self, pipe: LogPipe, environment: dict[str, str]) -> None:
        """Call it before ``start``."""
        plain = self._process
        self._process = _PipedProcess(plain._command, pipe.path, environment={**plain._environment, **environment})  # type: ignore[dict-item]
        self._process.collected = pipe.collected

    def signal(self, number: int) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)


@dataclasses.dataclass
class Site:
    """All of it, running."""

    home: Path
    slapd: Slapd
    proxy: Proxy
    daemon: PipedDaemon
    log: LogPipe

    @property
    def port(self) -> int:
        """Where the daemon listens."""
        return self.daemon.address.port

    @property
    def control(self) -> str:
        """The control socket's path."""
        return str(self.home / CONTROL_SOCKET)


@contextlib.contextmanager
def running(home: Path, *, inside: bool = False, code: Path | None = None) -> Iterator[Site]:
    """The site for the length of the block. ``inside``: see ``inside/sitecustomize.py``; ``code``: the daemon's."""
    content = home / "content.ldif"
    with content.open("w") as file:
        file.writelines(ldif(ACCOUNTS))
        file.write(extra_ldif())
    known = {field.name for field in dataclasses.fields(CacheSettings)}
    cache = {name: value for name, value in CACHE.items() if name in known}
    if "max_size" in known:
        cache["max_size"] = MAX_SIZE
    tables = "\n".join(["[cache]", *(f"{name} = {value}" for name, value in cache.items())])
    paths = [str(one) for one in (INSIDE if inside else None, code or CODE, os.environ.get("PYTHONPATH")) if one]
    # Else -m would take the package of the working directory.
    environment = {"PYTHONSAFEPATH": "1", "PYTHONPATH": os.pathsep.join(paths)} | (
        {"VMAILD_SOAK_INSIDE": str(home)} if inside else {}
    )
    with contextlib.ExitStack() as stack:
        slapd = stack.enter_context(Slapd(home / "slapd", ldif=content, syncprov=True))
        proxy = Proxy(("127.0.0.1", slapd.port))
        stack.callback(proxy.close)
        log = LogPipe(home / "vmaild.log", home / "collected.log")
        stack.callback(log.close)
        daemon = PipedDaemon(
            home, [proxy.uri], [Listen(f"inet:127.0.0.1:{free_port()}")], directory="check_interval = 2", tables=tables
        )
        daemon.pipe_to(log, environment)
        daemon.start()
        stack.callback(daemon.stop)
        yield Site(home, slapd, proxy, daemon, log)
