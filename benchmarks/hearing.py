"""What hearing of changes costs beside a load: ``python -m benchmarks.hearing logins|bulk [--changes sync poll none]``.

``logins``: so many logins a second are recorded in entries (a write to ``description``, which no map asks for) beside
lookups, and the hit ratio is compared with that of the same lookups without. ``bulk``: so many entries are added while
what is cached is asked for: how long the loop was held, vmaild's own searches, and how long hits took.

The daemon runs with a task that notes each turn of the loop of more than ``NOTED`` seconds: by the CPU time of its
thread, and by the clock, which has in it what other processes took of the machine. The clients are processes of their
own. A run is of a daemon of its own, with the same lookups as the others.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import uvloop

from benchmarks.report.output import machine
from benchmarks.site.population import DOMAINS, MAILBOXES, address, domain_of, write_ldif
from vmaild import admin
from vmaild.config import load
from vmaild.daemon import Daemon
from vmaild.demo.daemon import CONTROL_SOCKET, DaemonProcess, Listen
from vmaild.demo.process import Process
from vmaild.demo.slapd import Slapd, free_port
from vmaild.demo.tree import SEARCH_BASE
from vmaild.lookup import Request
from vmaild.wire import socketmap

NOTED = 0.005
"""Seconds of a turn of the loop that is worth noting."""

STEP = 0.001
ACCOUNTS = 5000
KEPT_WARM = 200
"""Accounts that ``bulk`` asks for."""


# --- the daemon, watched ----------------------------------------------------------------------------------------------


async def _watch(turns: list[tuple[float, float, float]]) -> None:
    while True:
        cpu, clock = time.thread_time(), time.monotonic()
        await asyncio.sleep(STEP)
        held, took = time.thread_time() - cpu, time.monotonic() - clock
        if held > NOTED or took > NOTED + STEP:
            turns.append((clock, held, took))


def serve(configuration: Path, output: Path) -> None:
    """Serve until SIGTERM, then write the turns."""
    turns: list[tuple[float, float, float]] = []

    async def run() -> None:
        watching = asyncio.create_task(_watch(turns))
        await Daemon(load(configuration)).run()
        watching.cancel()

    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())
    output.write_text(json.dumps(turns))


class Watched(DaemonProcess):
    """The daemon with its turns watched; ``turns`` after it was stopped."""

    def __init__(self, home: Path, uri: str, changes: str) -> None:
        home.mkdir()
        listen = Listen(f"inet:127.0.0.1:{free_port()}")
        super().__init__(home, [uri], [listen], directory=f'changes = "{changes}"')
        self._output = home / "turns.json"
        command = [sys.executable, "-m", "benchmarks.hearing", "serve", str(self.configuration), str(self._output)]
        self._process = Process(command, home / "vmaild.log")

    @property
    def port(self) -> int:
        """Where it listens."""
        assert hasattr(self.address, "port")
        return int(self.address.port)

    def stats(self) -> dict[str, Any]:
        """What it counts."""
        return admin.stats(str(self.home / CONTROL_SOCKET))

    def turns(self, begin: float, end: float) -> list[tuple[float, float]]:
        """CPU and clock seconds of the turns noted in between, after ``stop``."""
        return [(held, took) for at, held, took in json.loads(self._output.read_text()) if begin <= at <= end]


def _heard(daemon: Watched, mode: str) -> None:
    give_up = time.monotonic() + 30
    while mode != "none" and daemon.stats()["changes"]["mode"] != mode:
        if time.monotonic() > give_up:
            raise TimeoutError("changes are not heard")
        time.sleep(0.05)


# --- those who ask ----------------------------------------------------------------------------------------------------


def ask(port: int, rate: float, accounts: int, half: int, pipe: Connection) -> None:
    """Ask until told to stop; then send how long each answer took, in seconds.

    With ``half`` it asks twice so many, and waits after each half until it is told to go on.
    """
    rng, took = random.Random(1), list[float]()
    replies = socketmap.SocketmapReplies()
    with socket.create_connection(("127.0.0.1", port)) as sock:
        next_at = time.perf_counter()
        while not pipe.poll() and (not half or len(took) < 2 * half):
            number = int(accounts * rng.random() ** 3)
            key, name = (domain_of(number), DOMAINS) if rng.random() < 0.3 else (address(number), MAILBOXES)
            began = time.perf_counter()
            sock.sendall(socketmap.encode_request(Request(name, key.encode())))
            while replies.next() is None:
                replies.feed(sock.recv(65536))
            took.append(time.perf_counter() - began)
            next_at = max(next_at + 1 / rate, time.perf_counter() - 0.1)
            time.sleep(max(0.0, next_at - time.perf_counter()))
            if half and len(took) % half == 0:
                pipe.send(None)
                pipe.recv()
    pipe.send(took)


class Asking:
    """A client process for the length of a block; ``took`` after it."""

    def __init__(self, port: int, *, rate: float, accounts: int, half: int = 0) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=ask, args=(port, rate, accounts, half, other))
        self.took: list[float] = []

    def __enter__(self) -> Asking:
        self._process.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._pipe.send(None)
        self.took = self._pipe.recv()
        self._process.join()

    def wait_half(self) -> None:
        """Until it has asked half; it does not go on before ``go_on``."""
        self._pipe.recv()

    def go_on(self) -> None:
        """With the other half."""
        self._pipe.send(None)

    def quantile(self, share: float) -> float:
        """Seconds."""
        ordered = sorted(self.took)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


# --- those who write --------------------------------------------------------------------------------------------------


def _tool(slapd: Slapd, tool: str) -> subprocess.Popen[str]:
    command = [tool, "-x", "-H", slapd.uri, "-D", slapd.root_dn, "-w", slapd.root_pw]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)


class Logins:
    """Records logins through one ldapmodify for the length of a block."""

    def __init__(self, slapd: Slapd, rate: float) -> None:
        self._slapd = slapd
        self._rate = rate
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.count = 0

    def __enter__(self) -> Logins:
        if self._rate:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._rate:
            self._thread.join()

    def _run(self) -> None:
        rng = random.Random(3)
        with _tool(self._slapd, "ldapmodify") as tool:
            assert tool.stdin is not None
            next_at = time.monotonic()
            while not self._stop.is_set():
                number = int(ACCOUNTS * rng.random() ** 3)
                dn = f"mail={address(number)},o={domain_of(number)},{SEARCH_BASE}"
                self.count += 1
                tool.stdin.write(
                    f"dn: {dn}\nchangetype: modify\nreplace: description\ndescription: login {self.count}\n\n"
                )
                tool.stdin.flush()
                next_at += 1 / self._rate
                time.sleep(max(0.0, next_at - time.monotonic()))
            tool.stdin.close()


def bulk_ldif(count: int) -> Iterator[str]:
    """Accounts of new domains."""
    for number in range(count):
        domain = f"bulk{number // 500}.example"
        if number % 500 == 0:
            yield f"dn: o={domain},{SEARCH_BASE}\nobjectClass: organization\no: {domain}\n\n"
        yield (
            f"dn: mail=b{number}@{domain},o={domain},{SEARCH_BASE}\nobjectClass: courierMailAccount\n"
            f"mail: b{number}@{domain}\nhomeDirectory: /x\nuidNumber: 1\ngidNumber: 1\nmailbox: {domain}/{number}/\n\n"
        )


# --- the two measurements ---------------------------------------------------------------------------------------------


def logins(home: Path, slapd: Slapd, changes: str, rate: float, options: argparse.Namespace) -> dict[str, Any]:
    """One run: the hit ratio of the second part of it."""
    daemon = Watched(home / f"logins-{changes}-{rate:g}", slapd.uri, changes)
    daemon.start()
    _heard(daemon, changes)
    half = int(options.lookups * options.seconds)
    with (
        Logins(slapd, rate) as writing,
        Asking(daemon.port, rate=options.lookups, accounts=ACCOUNTS, half=half) as asking,
    ):
        asking.wait_half()
        first, began, written = daemon.stats(), time.monotonic(), writing.count
        asking.go_on()
        asking.wait_half()
        last, ended, written = daemon.stats(), time.monotonic(), writing.count - written
    daemon.stop()
    asked = _asked(last) - _asked(first)
    missed = sum(last["cache"][name] - first["cache"][name] for name in ("misses", "expired"))
    return {
        "changes": changes, "logins a second": written / (ended - began), "lookups": asked,
        "hit ratio": 1 - missed / asked, "heard": last["changes"]["changes_heard"] - first["changes"]["changes_heard"],
        "dropped": last["changes"]["cache_dropped"] - first["changes"]["cache_dropped"],
        **_turns(daemon, began, ended), "p50": asking.quantile(0.5), "p99": asking.quantile(0.99),
    }  # fmt: skip


def _asked(stats: dict[str, Any]) -> int:
    return sum(sum(counts.values()) for counts in stats["lookups"].values())


def _turns(daemon: Watched, began: float, ended: float) -> dict[str, float]:
    turns = daemon.turns(began, ended)
    return {
        "longest turn, CPU": max((held for held, _ in turns), default=0.0),
        "longest turn, clock": max((took for _, took in turns), default=0.0),
    }


def bulk(home: Path, slapd: Slapd, changes: str, entries: int, options: argparse.Namespace) -> dict[str, Any]:
    """One run, in which ``entries`` are added; or as long without any."""
    daemon = Watched(home / f"bulk-{changes}-{entries}", slapd.uri, changes)
    daemon.start()
    _heard(daemon, changes)
    with Asking(daemon.port, rate=options.lookups, accounts=KEPT_WARM):
        time.sleep(3.0)
    first, began = daemon.stats(), time.monotonic()
    with Asking(daemon.port, rate=options.lookups, accounts=KEPT_WARM) as asking:
        if entries:
            with _tool(slapd, "ldapadd") as tool:
                assert tool.stdin is not None
                tool.stdin.writelines(bulk_ldif(entries))
        else:
            time.sleep(options.seconds)
    ended = time.monotonic()
    last = daemon.stats()
    daemon.stop()
    return {
        "changes": changes, "entries": entries, "seconds": ended - began,
        "heard": last["changes"]["changes_heard"] - first["changes"]["changes_heard"],
        "searches": last["directory"]["searches"] - first["directory"]["searches"],
        "aged": last["changes"]["cache_aged"] - first["changes"]["cache_aged"],
        **_turns(daemon, began, ended), "p50": asking.quantile(0.5), "p99": asking.quantile(0.99),
        "mean": statistics.fmean(asking.took), "lookups": len(asking.took),
    }  # fmt: skip


def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    """The rows of the table."""
    rows: list[dict[str, Any]] = []
    for changes in options.changes:
        for amount in (0, options.rate if options.what == "logins" else options.entries):
            with tempfile.TemporaryDirectory(prefix="vmaild-benchmark-") as name:
                home = Path(name)
                write_ldif(home / "content.ldif", ACCOUNTS)
                with Slapd(home / "slapd", ldif=home / "content.ldif", syncprov=True) as slapd:
                    run = logins if options.what == "logins" else bulk
                    rows.append(run(home, slapd, changes, amount, options))
            print(", ".join(f"{key} {_short(value)}" for key, value in rows[-1].items()), flush=True)
    return rows


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def main() -> None:
    """The command line."""
    if sys.argv[1:2] == ["serve"]:
        serve(Path(sys.argv[2]), Path(sys.argv[3]))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("what", choices=("logins", "bulk"))
    parser.add_argument("--changes", nargs="*", default=["sync", "poll"], metavar="MODE", help="sync, poll, none")
    parser.add_argument("--rate", type=float, default=200.0, help="logins a second")
    parser.add_argument("--entries", type=int, default=50_000)
    parser.add_argument("--lookups", type=float, default=500.0, help="lookups a second")
    parser.add_argument("--seconds", type=float, default=30.0, help="of each part without entries to add")
    parser.add_argument("--json", type=Path, help="write the result here too")
    options = parser.parse_args()
    rows = measure(options)
    if options.json:
        options.json.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
