"""The site: a private slapd with a large directory, files of its keys, servers in front of it, and loads on them."""

import itertools
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from subprocess import Popen
from tempfile import TemporaryDirectory

from prometheus_client.parser import text_string_to_metric_families

from benchmarks.load.questions import format_line
from benchmarks.report.output import ROOT, Say
from benchmarks.report.rows import Figures
from benchmarks.site.population import MAILBOXES, PER_DOMAIN, address, answers, bulk_addresses, ldif
from vmaild.admin import flush
from vmaild.demo.ask import connect
from vmaild.demo.daemon import CONTROL_SOCKET, DaemonProcess, Listen
from vmaild.demo.process import Process, free_port, run
from vmaild.demo.slapd import Slapd, Tls
from vmaild.demo.tree import READER_DN, access_rules
from vmaild.listening import parse_address

PATIENCE = 600.0
"""Seconds after which what is waited for has failed."""
POOL_SIZE = 8
"""Directory connections of vmaild here: the count at which one slapd on two cores answered most searches."""
ONCE = ["--warm-keys", "--connections", 32, "--warm-up", 0, "--seconds", 1]
"""Options of a load that asks each key once, and hardly more."""
WAYS = list(itertools.product(("socketmap", "tcp_table"), ("tcp", "unix")))
"""Protocols and transports: vmaild listens to all of them."""
CACHE = {"ttl": 86_400, "negative_ttl": 86_400, "max_entries": 200_000}
"""Answers live for a day: one that expires in the middle of a run is no cached answer."""
ACCESS = f'limits dn.exact="{READER_DN}" size=unlimited time=unlimited\n' + access_rules()
"""The rules of the demo, and leave to read all domains at once: slapd's default is 500 entries."""
_ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
"""Of children: the benchmark is found from wherever it was started."""


class MeasurementFailed(Exception):
    """A client or a load complained, or an answer was wrong: figures of wrong answers are worth nothing."""


def seconds_of(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def wait_until(happens: Callable[[], object], what: str, pause: float = 0.02) -> float:
    """Wait; returns how many seconds that took. Raises ``MeasurementFailed`` after ``PATIENCE``."""
    began = time.perf_counter()
    while not happens():
        if time.perf_counter() > began + PATIENCE:
            raise MeasurementFailed(f"it never happened: {what}")
        time.sleep(pause)
    return time.perf_counter() - began


class Vmaild(DaemonProcess):
    """One vmaild in front of ``uri``, with a listener of each kind, and these settings of its cache and directory."""

    def __init__(self, home: Path, uri: str, cache: Mapping[str, object], directory: Mapping[str, object]) -> None:
        (home / "state").mkdir(parents=True)
        self.listens = {
            (protocol, way): f"unix:{home}/{protocol}.sock" if way == "unix" else f"inet:127.0.0.1:{free_port()}"
            for protocol, way in WAYS
        }
        self.socketmap = self.listens["socketmap", "tcp"]
        listens = [
            # Postfix's processes are not root.
            Listen(where, protocol, MAILBOXES.decode() * (protocol == "tcp_table"), 'mode = "0666"' * (way == "unix"))
            for (protocol, way), where in self.listens.items()
        ]
        self._page = f"127.0.0.1:{free_port()}"
        tables = f'[http]\naddress = "inet:{self._page}"\n[cache]\n{_toml(cache)}'
        environment = {"PYTHONPATH": str(ROOT), "STATE_DIRECTORY": f"{home}/state"}
        super().__init__(home, [uri], listens, directory=_toml(directory), tables=tables, environment=environment)

    def begin(self) -> None:
        """Start the process again, and wait for nothing."""
        self._process.start(lambda: True, PATIENCE)

    def flush(self) -> None:
        flush(str(self.home / CONTROL_SOCKET))

    def metrics(self) -> Counter[str]:
        """What its page says, without ``vmaild_``: the sums over all labels, and each as ``name label``."""
        with urllib.request.urlopen(f"http://{self._page}/metrics", timeout=10.0) as answer:
            families = text_string_to_metric_families(answer.read().decode())
        sums: Counter[str] = Counter()
        for sample in (sample for family in families for sample in family.samples):
            for name in {sample.name, " ".join([sample.name, *sample.labels.values()])}:
                sums[name.removeprefix("vmaild_")] += sample.value  # type: ignore[assignment]
        return sums

    def await_mode(self, mode: str) -> float:
        """Wait until it hears of changes in this way; returns how many seconds that took."""
        return wait_until(lambda: mode == "none" or self.metrics()[f"changes_mode {mode}"], f"changes by {mode}")


class Server(Process):
    """A running server that is no vmaild: of ``benchmarks.site.references``, by its arguments, or by a ``command``."""

    def __init__(self, home: Path, *arguments: str, address: str = "", command: Sequence[str] = ()) -> None:
        self.address = address or f"inet:127.0.0.1:{free_port()}"
        reference = [sys.executable, "-m", "benchmarks.site.references", *arguments[:1], self.address, *arguments[1:]]
        log = home / f"server-{self.address.rpartition(':')[2].replace('/', '-')}.log"
        super().__init__(command or reference, log, environment=_ENVIRONMENT)
        self.start(lambda: _accepts(self.address), PATIENCE)


class Site(ExitStack):
    """A directory of ``accounts`` accounts and files of its keys, to be used in a ``with`` statement.

    ``addresses`` is a file of the accounts' addresses, ``bulk_addresses`` of the ``bulk`` ones (see ``population``),
    ``table`` the expectation file of all maps, ``keys`` options of a load on the accounts with every answer checked.
    ``say`` shows progress; ``loaded`` is how many seconds slapd took.
    """

    def __init__(
        self, accounts: int, say: Say, *, bulk: int = 0, per_domain: int = PER_DOMAIN,
        tls: bool = False, syncprov: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.accounts, self.bulk, self._numbers = accounts, bulk, itertools.count(1)
        self.home = Path(self.enter_context(TemporaryDirectory(prefix="vmaild-benchmark-", ignore_cleanup_errors=True)))
        # Postfix's processes, which are not root, read below it.
        self.home.chmod(0o755)
        say(f"loading a directory of {accounts + bulk:,} accounts")
        self.addresses = self.write("addresses", (f"{address(n, per_domain)}\n".encode() for n in range(accounts)))
        numbered = ("{}\n{}\n".format(*bulk_addresses(number)).encode() for number in range(1, bulk + 1))
        self.bulk_addresses = self.write("bulk", numbered)
        self.table = self.write("table.tsv", map(format_line, answers(accounts, bulk, per_domain)))
        self.keys = ["--keys", self.addresses, "--expect", self.table]
        content = self.write("directory.ldif", (entry.encode() for entry in ldif(accounts, bulk, per_domain)))
        try:
            certificate = _certificate(self.home) if tls else None
            self.slapd = Slapd(self.home / "slapd", ldif=content, tls=certificate, syncprov=syncprov, access=ACCESS)
            self.callback(lambda: self.slapd.stop())
            self.loaded = seconds_of(self.slapd.start)
        except BaseException:
            self.close()
            raise

    def vmaild(
        self, uri: str = "", *, start: bool = True, cache: Mapping[str, object] = CACHE, **directory: object
    ) -> Vmaild:
        """A vmaild in front of the site's slapd, or of ``uri``, with these settings of its cache and directory."""
        directory = {"pool_size": POOL_SIZE, "max_waiting": 10_000, **directory}
        vmaild = Vmaild(self.new_home("vmaild"), uri or self.slapd.uri, {**CACHE, **cache}, directory)
        self.callback(vmaild.stop)
        if start:
            vmaild.start()
        return vmaild

    def server(self, *arguments: str, address: str = "", command: Sequence[str] = ()) -> Server:
        server = Server(self.home, *arguments, address=address, command=command)
        self.callback(server.stop)
        return server

    def load(self, server: Vmaild | Server, *options: object, at: str = "", **pids: int) -> Figures:
        """Run a load on a server, at its first address or ``at``; returns its figures, with CPU of both and slapd."""
        return finish_load(self.start_load(server, *options, at=at, **pids))

    def start_load(self, server: Vmaild | Server, *options: object, at: str = "", **pids: int) -> Popen[bytes]:
        """Begin one in a process of its own, so that nothing else happens in its loop; for ``finish_load``."""
        where = at or (server.socketmap if isinstance(server, Vmaild) else server.address)
        words = ["load", where, "--json", "--no-progress", *options]
        for name, pid in {"server": server.pid, "slapd": self.slapd.pid, **pids}.items():
            words += ["--pid", f"{name}={pid}"]
        command = [sys.executable, "-m", "benchmarks", *map(str, words)]
        return Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=_ENVIRONMENT)

    def log_searches(self) -> None:
        """Restart slapd with its log of operations on; it is slower so."""
        self.slapd.stop()
        self.slapd = Slapd(self.slapd.home, port=self.slapd.port, log_level="stats")
        self.slapd.start()

    def new_home(self, name: str) -> Path:
        """A path below the site's directory that nobody uses yet."""
        return self.home / f"{next(self._numbers)}-{name}"

    def warm(self, vmaild: Vmaild, *options: object) -> None:
        """Ask vmaild once for every key of these options of a load, by default for all accounts."""
        self.load(vmaild, *(options or ("--keys", self.addresses)), "--expect", self.table, *ONCE)

    def warm_bulk(self, vmaild: Vmaild) -> None:
        """Ask vmaild once for every address of the bulk domain, in the two maps that a message asks for it."""
        for map_name in ("virtual_mailbox_maps", "virtual_alias_maps"):
            self.warm(vmaild, "--map", map_name, "--keys", self.bulk_addresses)

    def write(self, name: str, lines: Iterable[bytes]) -> Path:
        """A file below the site's directory."""
        path = self.home / name
        with path.open("wb") as file:
            file.writelines(lines)
        return path


def finish_load(process: Popen[bytes]) -> Figures:
    """Wait for a load; returns its figures. Raises ``MeasurementFailed``."""
    try:
        output, errors = process.communicate()
    finally:
        process.kill()
    result = json.loads(output) if output else {}
    if process.returncode:
        text = f"{errors.decode(errors='replace').strip()} {' '.join(result.get('wrong_answers', []))}"
        raise MeasurementFailed(f"load ended with {process.returncode}: {text}")
    return dict(result["figures"])


def _toml(settings: Mapping[str, object]) -> str:
    # JSON's numbers and plain strings are TOML's.
    return "".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items())


def _accepts(address: str) -> bool:
    with suppress(OSError), connect(parse_address(address)):
        return True
    return False


def _certificate(home: Path) -> Tls:
    cert, key = home / "cert.pem", home / "key.pem"
    options = "-x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc -subj /CN=localhost -days 2"
    run(["openssl", "req", *options.split(), "-keyout", str(key), "-out", str(cert)])
    return Tls(cert, key)
