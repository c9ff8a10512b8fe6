"""A site of one's own to measure: a private slapd with a large directory, and the servers in front of it.

Everything runs on loopback on free ports below one temporary directory, is stopped by its own process id, and is
gone afterwards. An installed slapd, Postfix or vmaild is not touched.
"""

from __future__ import annotations

import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from benchmarks.expectation import format_line
from benchmarks.machine import ROOT
from benchmarks.population import MAILBOXES, answers, mailboxes, write_ldif
from vmaild.admin import flush, stats
from vmaild.demo.daemon import CONTROL_SOCKET, DaemonProcess, Listen
from vmaild.demo.process import Process, free_port
from vmaild.demo.slapd import Slapd
from vmaild.listening import InetAddress, parse_address

START_SECONDS = 60.0
"""How long a reference server may take to read its table: a million lines take 5 s."""

MAX_ENTRIES = 200_000
"""The default of vmaild's cache."""

POOL_SIZE = 8
"""Directory connections of vmaild here: the count at which one slapd on two cores answered most searches."""

LIFE = 86_400
"""Seconds that answers live here: a cached answer that expires in the middle of a run is no cached answer."""


class Vmaild:
    """One vmaild in front of ``uri``, with a listener of each kind. With ``life`` 0 every lookup is a miss."""

    def __init__(
        self, home: Path, uri: str, *, pool_size: int = POOL_SIZE, max_entries: int = MAX_ENTRIES, life: int = LIFE
    ) -> None:
        home.mkdir(parents=True)
        port, tcp_port = free_port(), free_port()
        self.socketmap = f"inet:127.0.0.1:{port}"
        self.socketmap_unix = f"unix:{home}/socketmap.sock"
        self.tcp_table = f"inet:127.0.0.1:{tcp_port}"
        self.tcp_table_unix = f"unix:{home}/tcp_table.sock"
        self._control = str(home / CONTROL_SOCKET)
        mailbox_map = MAILBOXES.decode()
        listens = [
            Listen(self.socketmap),
            # Postfix's processes are not root.
            Listen(self.socketmap_unix, extra='mode = "0666"'),
            Listen(self.tcp_table, "tcp_table", mailbox_map),
            Listen(self.tcp_table_unix, "tcp_table", mailbox_map),
        ]
        cache = f"[cache]\nttl = {life}\nnegative_ttl = {life}\nmax_entries = {max_entries}\n"
        cache += "" if life else "stale_ttl = 0\n"
        http = f'[http]\naddress = "inet:127.0.0.1:{free_port()}"\n'
        directory = f"pool_size = {pool_size}\nmax_waiting = 10000\n"
        self._daemon = DaemonProcess(home, [uri], listens, directory=directory, tables=f"{cache}\n{http}")

    @property
    def pid(self) -> int:
        """The daemon's process id."""
        return self._daemon.pid

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._daemon.start()

    def stop(self) -> None:
        """Stop it."""
        self._daemon.stop()

    def flush(self) -> None:
        """Make it forget every answer."""
        flush(self._control)

    def answers(self) -> int:
        """How many answers it has cached."""
        return int(stats(self._control)["cache"]["answers"])


class Reference:
    """One of ``benchmarks.references``, at ``address``."""

    def __init__(self, home: Path, arguments: Sequence[str], address: str = "") -> None:
        self.address = address or f"inet:127.0.0.1:{free_port()}"
        name, *options = arguments
        command = [sys.executable, "-m", "benchmarks.references", name, self.address, *options]
        # Found from wherever the benchmark was started.
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self._process = Process(command, home / f"{name}.log", environment=environment)

    @property
    def pid(self) -> int:
        """The server's process id."""
        return self._process.pid

    def start(self) -> None:
        """Start it, and wait until it accepts connections."""
        self._process.start(lambda: accepts(self.address), START_SECONDS)

    def stop(self) -> None:
        """Stop it."""
        self._process.stop()


class Site:
    """A directory of ``accounts`` accounts and files of its keys, to be used in a ``with`` statement.

    ``addresses`` is a file of the accounts' addresses, ``table`` the expectation file of all maps.
    """

    def __init__(self, accounts: int, say: Callable[[str], None]) -> None:
        self.accounts = accounts
        self.home = Path(tempfile.mkdtemp(prefix="vmaild-benchmark-"))
        # Postfix's processes, which are not root, read below it.
        self.home.chmod(0o755)
        self.addresses = self.home / "addresses"
        self.table = self.home / "table.tsv"
        self._say = say
        self._stack = ExitStack()
        self._stack.callback(shutil.rmtree, self.home, ignore_errors=True)
        self._homes = 0
        self.slapd = Slapd(
            self.home / "slapd",
            ldif=self.home / "directory.ldif",
        )

    def __enter__(self) -> Site:
        try:
            self._build()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def vmaild(
        self, uri: str = "", *, pool_size: int = POOL_SIZE, max_entries: int = MAX_ENTRIES, life: int = LIFE
    ) -> Vmaild:
        """A running vmaild in front of the site's slapd, or of ``uri``."""
        home = self.new_home("vmaild")
        vmaild = Vmaild(home, uri or self.slapd.uri, pool_size=pool_size, max_entries=max_entries, life=life)
        self._stack.callback(vmaild.stop)
        vmaild.start()
        return vmaild

    def reference(self, *arguments: str, address: str = "") -> Reference:
        """A running reference server."""
        home = self.new_home(arguments[0])
        home.mkdir()
        reference = Reference(home, arguments, address)
        self._stack.callback(reference.stop)
        reference.start()
        return reference

    def log_searches(self, log: bool) -> None:
        """Restart slapd with its log of operations on or off; while on, slapd is slower."""
        self.slapd.stop()
        self.slapd = Slapd(
            self.slapd.home,
            port=self.slapd.port,
            log_level="stats" if log else "0",
        )
        self.slapd.start()

    def new_home(self, name: str) -> Path:
        """A path below the site's directory that nobody uses yet."""
        self._homes += 1
        return self.home / f"{self._homes}-{name}"

    def closing(self, close: Callable[[], object]) -> None:
        """Call ``close`` at the end."""
        self._stack.callback(close)

    def _build(self) -> None:
        self._say(f"loading a directory of {self.accounts:,} accounts")
        write_ldif(self.home / "directory.ldif", self.accounts)
        with self.addresses.open("wb") as file:
            file.writelines(line.key + b"\n" for line in mailboxes(self.accounts))
        with self.table.open("wb") as file:
            file.writelines(format_line(line) for line in answers(self.accounts))
        self._stack.callback(lambda: self.slapd.stop())
        self.slapd.start()
        (self.home / "directory.ldif").unlink()


def accepts(address: str) -> bool:
    """True when someone accepts connections at ``address``."""
    where = parse_address(address)
    target = (where.host, where.port) if isinstance(where, InetAddress) else where.path
    family = socket.AF_INET if isinstance(where, InetAddress) else socket.AF_UNIX
    with socket.socket(family) as probe:
        try:
            probe.connect(target)
        except OSError:
            return False
    return True
