"""The site: a private slapd with a large directory, files of its keys, servers in front of it, and loads on them."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.load.questions import format_line
from benchmarks.report.output import ROOT
from benchmarks.report.rows import Figures
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

_ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
"""Of children: the benchmark is found from wherever it was started."""


class MeasurementFailed(Exception):
    """A client or a load complained, or an answer was wrong: figures of wrong answers are worth nothing."""


class Vmaild(DaemonProcess):
    """One vmaild in front of ``uri``, with a listener of each kind. With ``life`` 0 every lookup is a miss."""

    def __init__(self, home: Path, uri: str, pool_size: int, max_entries: int, life: int) -> None:
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
        super().__init__(home, [uri], listens, directory=directory, tables=f"{cache}\n{http}")

    def flush(self) -> None:
        """Make it forget every answer."""
        flush(self._control)

    def records(self) -> int:
        """How many records it has cached: one for each key, with the answers of all maps that share it."""
        return int(stats(self._control)["cache"]["records"])


class Server(Process):
    """A server at ``address`` that is no vmaild: one of ``benchmarks.site.references``, or another project's."""

    def __init__(self, home: Path, command: Sequence[str], address: str) -> None:
        self.address = address
        super().__init__(
            command, home / f"server-{address.rpartition(':')[2].replace('/', '-')}.log", environment=_ENVIRONMENT
        )

    @classmethod
    def reference(cls, home: Path, arguments: Sequence[str], address: str = "") -> Server:
        """``python -m benchmarks.site.references`` with these arguments."""
        address = address or f"inet:127.0.0.1:{free_port()}"
        name, *options = arguments
        return cls(home, [sys.executable, "-m", "benchmarks.site.references", name, address, *options], address)

    def serve(self) -> None:
        """Start it, and wait until it accepts connections."""
        self.start(lambda: _accepts(self.address), START_SECONDS)


class Site(ExitStack):
    """A directory of ``accounts`` accounts and files of its keys, to be used in a ``with`` statement.

    ``addresses`` is a file of the accounts' addresses, ``bulk_addresses`` of the ``bulk`` ones (see ``population``),
    ``table`` the expectation file of all maps. ``say`` shows progress.
    """

    def __init__(
        self, accounts: int, say: Callable[[str], None], *, bulk: int = 0, tls: bool = False, syncprov: bool = False
    ) -> None:
        super().__init__()
        self.accounts, self.bulk = accounts, bulk
        self.home = Path(tempfile.mkdtemp(prefix="vmaild-benchmark-"))
        self.callback(shutil.rmtree, self.home, ignore_errors=True)
        # Postfix's processes, which are not root, read below it.
        self.home.chmod(0o755)
        self._homes = 0
        say(f"loading a directory of {accounts + bulk:,} accounts")
        self.addresses = self._lines("addresses", map(address, range(accounts)))
        self.bulk_addresses = self._lines("bulk", map(bulk_address, range(1, bulk + 1)))
        self.table = self.home / "table.tsv"
        with self.table.open("wb") as file:
            file.writelines(format_line(line) for line in answers(accounts, bulk))
        self.keys = ["--keys", self.addresses, "--expect", self.table]
        """Options of a load on the accounts' addresses with every answer checked."""
        ldif = self.home / "directory.ldif"
        write_ldif(ldif, accounts, bulk)
        certificate = _certificate(self.home) if tls else None
        self.slapd = Slapd(self.home / "slapd", ldif=ldif, tls=certificate, syncprov=syncprov)
        self.callback(lambda: self.slapd.stop())

    def __enter__(self) -> Site:
        try:
            self.slapd.start()
        except BaseException:
            self.close()
            raise
        return self

    def vmaild(
        self, uri: str = "", *, pool_size: int = POOL_SIZE, max_entries: int = MAX_ENTRIES, life: int = LIFE
    ) -> Vmaild:
        """A running vmaild in front of the site's slapd, or of ``uri``."""
        vmaild = Vmaild(self.new_home("vmaild"), uri or self.slapd.uri, pool_size, max_entries, life)
        self.callback(vmaild.stop)
        vmaild.start()
        return vmaild

    def serve(self, command: Sequence[str], address: str) -> Server:
        """A running server of another project."""
        return self._serve(Server(self.home, command, address))

    def reference(self, *arguments: str, address: str = "") -> Server:
        """A running reference server."""
        return self._serve(Server.reference(self.home, arguments, address))

    def _serve(self, server: Server) -> Server:
        self.callback(server.stop)
        server.serve()
        return server

    def log_searches(self) -> None:
        """Restart slapd with its log of operations on; it is slower so."""
        self.slapd.stop()
        self.slapd = Slapd(self.slapd.home, port=self.slapd.port, log_level="stats")
        self.slapd.start()

    def new_home(self, name: str) -> Path:
        """A path below the site's directory that nobody uses yet."""
        self._homes += 1
        return self.home / f"{self._homes}-{name}"

    def warm(self, vmaild: Vmaild, *options: object) -> None:
        """Ask vmaild once for every key of these options of a load, by default for all accounts."""
        wanted = options or ("--keys", self.addresses)
        hot = ["--expect", self.table, "--warm-keys", "--connections", 32, "--warm-up", 0, "--seconds", 0.2]
        load(vmaild.socketmap, [*wanted, *hot], {})

    def _lines(self, name: str, lines: Iterable[str]) -> Path:
        path = self.home / name
        path.write_text("".join(f"{line}\n" for line in lines))
        return path


def start_load(address: str, options: Sequence[object], pids: Mapping[str, int]) -> subprocess.Popen[bytes]:
    """Start a load in a process of its own, so that nothing else happens in its loop; for ``finish_load``."""
    words = ["load", address, "--json", "--no-progress", *options]
    words += [word for name, pid in pids.items() for word in ("--pid", f"{name}={pid}")]
    command = [sys.executable, "-m", "benchmarks", *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=_ENVIRONMENT)


def finish_load(process: subprocess.Popen[bytes]) -> Figures:
    """Wait for a load; returns its figures, with ``waited NAME`` for each process. Raises ``MeasurementFailed``."""
    try:
        output, errors = process.communicate()
    except BaseException:
        process.kill()
        process.communicate()
        raise
    result: dict[str, Any] = json.loads(output) if output else {}
    if process.returncode:
        text = f"{errors.decode(errors='replace').strip()} {' '.join(result.get('wrong_answers', []))}"
        raise MeasurementFailed(f"load ended with {process.returncode}: {text}")
    waited = {f"waited {name}": value for name, value in result["waited_for_a_core"].items()}
    return {**result["figures"], **waited, "reused": result["cold_keys_asked_again"]}


def load(address: str, options: Sequence[object], pids: Mapping[str, int]) -> Figures:
    """Run a load; returns its figures."""
    return finish_load(start_load(address, options, pids))


def _accepts(address: str) -> bool:
    where = parse_address(address)
    target = (where.host, where.port) if isinstance(where, InetAddress) else where.path
    with socket.socket(socket.AF_INET if isinstance(where, InetAddress) else socket.AF_UNIX) as probe:
        return probe.connect_ex(target) == 0


def _certificate(home: Path) -> Tls:
    cert, key = home / "cert.pem", home / "key.pem"
    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc", "-keyout", str(key))
    command = ["openssl", "req", "-x509", *new_key, "-out", str(cert), "-subj", "/CN=localhost", "-days", "2"]
    subprocess.run(command, check=True, capture_output=True)
    return Tls(cert, key)
