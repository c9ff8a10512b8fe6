"""The site: a private slapd with a large directory, files of its keys, and the servers in front of it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from benchmarks.load.questions import format_line
from benchmarks.report.machine import ROOT
from benchmarks.site.population import MAILBOXES, address, answers, bulk_address, write_ldif
from vmaild.admin import flush, stats
from vmaild.demo.daemon import CONTROL_SOCKET, DaemonProcess, Listen
from vmaild.demo.process import Process, free_port
from vmaild.demo.slapd import Slapd, Tls
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
        self.socketmap = f"inet:127.0.0.1:{free_port()}"
        self.listens = {
            ("socketmap", "tcp"): self.socketmap,
            ("socketmap", "unix"): f"unix:{home}/socketmap.sock",
            ("tcp_table", "tcp"): f"inet:127.0.0.1:{free_port()}",
            ("tcp_table", "unix"): f"unix:{home}/tcp_table.sock",
        }
        self._control = str(home / CONTROL_SOCKET)
        listens = [
            # Postfix's processes are not root.
            Listen(where, protocol, MAILBOXES.decode() * (protocol == "tcp_table"), 'mode = "0666"' * (way == "unix"))
            for (protocol, way), where in self.listens.items()
        ]
        cache = f"[cache]\nttl = {life}\nnegative_ttl = {life}\nmax_entries = {max_entries}\n"
        cache += "" if life else "stale_ttl = 0\n"
        http = f'[http]\naddress = "inet:127.0.0.1:{free_port()}"\n'
        directory = f"pool_size = {pool_size}\nmax_waiting = 10000\n"
        self._daemon = DaemonProcess(home, [uri], listens, directory=directory, tables=f"{cache}\n{http}")
        self.start, self.stop = self._daemon.start, self._daemon.stop

    @property
    def pid(self) -> int:
        """The daemon's process id."""
        return self._daemon.pid

    def flush(self) -> None:
        """Make it forget every answer."""
        flush(self._control)

    def records(self) -> int:
        """How many records it has cached: one for each key, with the answers of all maps that share it."""
        return int(stats(self._control)["cache"]["records"])


class Server:
    """A server that is no vmaild: one of ``benchmarks.site.references``, or another project's."""

    def __init__(self, command: Sequence[str], address: str, log: Path) -> None:
        self.address = address
        # Found from wherever the benchmark was started.
        self._process = Process(command, log, environment={**os.environ, "PYTHONPATH": str(ROOT)})
        self.stop = self._process.stop

    @classmethod
    def reference(cls, home: Path, arguments: Sequence[str], address: str = "") -> Server:
        """``python -m benchmarks.site.references`` with these arguments."""
        address = address or f"inet:127.0.0.1:{free_port()}"
        name, *options = arguments
        command = [sys.executable, "-m", "benchmarks.site.references", name, address, *options]
        return cls(command, address, home / f"{name}.log")

    @property
    def pid(self) -> int:
        """The server's process id."""
        return self._process.pid

    def start(self) -> None:
        """Start it, and wait until it accepts connections."""
        self._process.start(lambda: accepts(self.address), START_SECONDS)


class Site:
    """A directory of ``accounts`` accounts and files of its keys, to be used in a ``with`` statement.

    ``addresses`` is a file of the accounts' addresses, ``bulk_addresses`` of the ``bulk`` ones (see ``population``),
    ``table`` the expectation file of all maps. ``say`` shows progress.
    """

    def __init__(self, accounts: int, say: Callable[[str], None], *, bulk: int = 0, tls: bool = False) -> None:
        self.accounts = accounts
        self.bulk = bulk
        self.home = Path(tempfile.mkdtemp(prefix="vmaild-benchmark-"))
        # Postfix's processes, which are not root, read below it.
        self.home.chmod(0o755)
        self.addresses = self.home / "addresses"
        self.bulk_addresses = self.home / "bulk"
        self.table = self.home / "table.tsv"
        self._say = say
        self._stack = ExitStack()
        self._stack.callback(shutil.rmtree, self.home, ignore_errors=True)
        self._homes = 0
        certificate = _certificate(self.home) if tls else None
        self.slapd = Slapd(self.home / "slapd", ldif=self.home / "directory.ldif", tls=certificate)

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

    @property
    def keys(self) -> list[str]:
        """Options of a load on the accounts' addresses with every answer checked."""
        return ["--keys", str(self.addresses), "--expect", str(self.table)]

    def vmaild(
        self, uri: str = "", *, pool_size: int = POOL_SIZE, max_entries: int = MAX_ENTRIES, life: int = LIFE
    ) -> Vmaild:
        """A running vmaild in front of the site's slapd, or of ``uri``."""
        where = uri or self.slapd.uri
        vmaild = Vmaild(self.new_home("vmaild"), where, pool_size=pool_size, max_entries=max_entries, life=life)
        self._stack.callback(vmaild.stop)
        vmaild.start()
        return vmaild

    def started(self, server: Server) -> Server:
        """``server``, running until the site is closed."""
        self._stack.callback(server.stop)
        server.start()
        return server

    def reference(self, *arguments: str, address: str = "") -> Server:
        """A running reference server."""
        return self.started(Server.reference(self.home, arguments, address))

    def log_searches(self) -> None:
        """Restart slapd with its log of operations on; it is slower so."""
        self.slapd.stop()
        self.slapd = Slapd(self.slapd.home, port=self.slapd.port, log_level="stats")
        self.slapd.start()

    def new_home(self, name: str) -> Path:
        """A path below the site's directory that nobody uses yet."""
        self._homes += 1
        return self.home / f"{self._homes}-{name}"

    def _build(self) -> None:
        self._say(f"loading a directory of {self.accounts + self.bulk:,} accounts")
        ldif = self.home / "directory.ldif"
        write_ldif(ldif, self.accounts, self.bulk)
        self.addresses.write_text("".join(f"{address(number)}\n" for number in range(self.accounts)))
        self.bulk_addresses.write_text("".join(f"{bulk_address(number)}\n" for number in range(1, self.bulk + 1)))
        with self.table.open("wb") as file:
            file.writelines(format_line(line) for line in answers(self.accounts, self.bulk))
        self._stack.callback(lambda: self.slapd.stop())
        self.slapd.start()
        ldif.unlink()


def accepts(address: str) -> bool:
    """True when someone accepts connections at ``address``."""
    where = parse_address(address)
    target = (where.host, where.port) if isinstance(where, InetAddress) else where.path
    with socket.socket(socket.AF_INET if isinstance(where, InetAddress) else socket.AF_UNIX) as probe:
        try:
            probe.connect(target)
        except OSError:
            return False
    return True


def _certificate(home: Path) -> Tls:
    cert, key = home / "cert.pem", home / "key.pem"
    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc", "-keyout", str(key))
    command = ["openssl", "req", "-x509", *new_key, "-out", str(cert), "-subj", "/CN=localhost", "-days", "2"]
    subprocess.run(command, check=True, capture_output=True)
    return Tls(cert, key)
