"""What hearing of changes costs beside a load.

``logins``: so many logins a second are recorded in entries (a write to ``description``, which no map asks for) beside
lookups, and the hit ratio is compared with that of the same lookups without. ``bulk``: so many entries are added while
what is cached is asked for: vmaild's own searches, how long hits took, and how long the loop was held. Each run is of a
daemon of its own with a task that notes each turn of its loop of more than ``NOTED`` seconds: by the CPU time of its
thread, and by the clock, which has in it what other processes took of the machine. Needs slapd and ldap-utils.
"""

from __future__ import annotations

import asyncio
import json
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvloop

from benchmarks.experiments.experiment import Run
from benchmarks.report.rows import Aim, Figures, Section
from benchmarks.site.population import ACCOUNT, ENTRY, address, domain_of
from benchmarks.site.site import Site, finish_load, load, start_load
from vmaild import admin
from vmaild.config import load as load_configuration
from vmaild.daemon import Daemon
from vmaild.demo.daemon import CONTROL_SOCKET, DaemonProcess, Listen
from vmaild.demo.process import Process, free_port
from vmaild.demo.slapd import Slapd
from vmaild.demo.tree import SEARCH_BASE

NOTED = 0.005
"""Seconds of a turn of the loop that is worth noting."""

STEP = 0.001
HEARD_SECONDS = 30.0

SECTIONS = (
    Section("logins", "Logins recorded beside lookups", "logins a second", "bars", "hit ratio"),
    Section("bulk", "Entries added beside hits", "entries", "bars", "longest turn"),
)
AIMS: tuple[Aim, ...] = ()
OPTIONS = {
    "accounts": (5000, ""),
    "seconds": (20.0, ""),
    "modes": (["sync", "poll"], "sync, poll or none"),
    "logins": ([0, 200], "a second"),
    "entries": ([0, 50_000], "to add"),
    "lookups": (500.0, "a second"),
}


def measure(run: Run) -> None:
    """Both, for each mode."""
    with Site(run.arguments.accounts, run.say, syncprov=True) as site:
        for mode in run.arguments.modes:
            for rate in run.arguments.logins:
                run.say(f"{mode}: {rate} logins a second")
                with _daemon(site, mode) as daemon, _logins(site, rate):
                    run.rows.add("logins", f"vmaild, {mode}", rate, _measure(run, site, daemon))
            for entries in run.arguments.entries:
                run.say(f"{mode}: {entries:,} entries")
                with _daemon(site, mode) as daemon:
                    run.rows.add("bulk", f"vmaild, {mode}", entries, _measure(run, site, daemon, entries))


class Watched(DaemonProcess):
    """A daemon with the turns of its loop watched."""

    def __init__(self, home: Path, uri: str, mode: str) -> None:
        home.mkdir()
        self.listens = f"inet:127.0.0.1:{free_port()}"
        self.turns = home / "turns.json"
        super().__init__(home, [uri], [Listen(self.listens)], directory=f'changes = "{mode}"')
        command = [sys.executable, "-m", "benchmarks.experiments.hearing", str(self.configuration), str(self.turns)]
        self._process = Process(command, home / "vmaild.log")

    def stats(self) -> dict[str, Any]:
        """What ``vmaild stats`` says."""
        return admin.stats(str(self.home / CONTROL_SOCKET))

    def counts(self) -> dict[str, float]:
        """What it has counted so far."""
        stats = self.stats()
        return {
            "lookups": sum(sum(counts.values()) for counts in stats["lookups"].values()),
            "missed": stats["cache"]["misses"] + stats["cache"]["expired"],
            "heard": stats["changes"]["changes_heard"],
            "searches": stats["directory"]["searches"],
        }


@contextmanager
def _daemon(site: Site, mode: str) -> Iterator[Watched]:
    daemon = Watched(site.new_home("vmaild"), site.slapd.uri, mode)
    daemon.start()
    try:
        give_up = time.monotonic() + HEARD_SECONDS
        while daemon.stats()["changes"]["mode"] != mode:
            if time.monotonic() > give_up:
                raise TimeoutError("changes do not arrive")
            time.sleep(0.05)
        yield daemon
    finally:
        daemon.stop()


def _measure(run: Run, site: Site, daemon: Watched, entries: int = 0) -> Figures:
    """Fill the cache by a load, then measure the same once more; ``entries`` are added during it."""
    wanted = [*site.keys, "--zipf", 1, "--rate", run.arguments.lookups, "--seconds", run.arguments.seconds]
    pids = {"server": daemon.pid, "slapd": site.slapd.pid}
    load(daemon.listens, [*wanted, "--warm-up", 0], {})
    first, began = daemon.counts(), time.monotonic()
    asking = start_load(daemon.listens, [*wanted, "--warm-up", 0], pids)
    if entries:
        with _tool(site.slapd, "ldapadd") as tool:
            assert tool.stdin is not None
            tool.stdin.writelines(_bulk(entries, f"{daemon.home.name}.example"))
    figures = finish_load(asking)
    last, ended = daemon.counts(), time.monotonic()
    daemon.stop()
    changed = {name: last[name] - first[name] for name in ("lookups", "missed", "heard", "searches")}
    turns = [(held, took) for at, held, took in json.loads(daemon.turns.read_text()) if began <= at <= ended]
    held = {"longest turn": max((turn[0] for turn in turns), default=0.0)}
    held["longest turn, clock"] = max((turn[1] for turn in turns), default=0.0)
    hits = 1 - changed["missed"] / changed["lookups"]
    return {**figures, **changed, **{name: 1e3 * seconds for name, seconds in held.items()}, "hit ratio": hits}


@contextmanager
def _logins(site: Site, rate: float) -> Iterator[None]:
    """Records logins through one ldapmodify for the length of a block."""
    stop = threading.Event()
    thread = threading.Thread(target=_record, args=(site, rate, stop), daemon=True)
    if rate:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        if rate:
            thread.join()


def _record(site: Site, rate: float, stop: threading.Event) -> None:
    chance = random.Random(3)
    with _tool(site.slapd, "ldapmodify") as tool:
        assert tool.stdin is not None
        begin = time.monotonic()
        for count in range(sys.maxsize):
            if stop.wait(max(0.0, begin + count / rate - time.monotonic())):
                break
            number = int(site.accounts * chance.random() ** 3)
            dn = f"mail={address(number)},o={domain_of(number)},{SEARCH_BASE}"
            tool.stdin.write(f"dn: {dn}\nchangetype: modify\nreplace: description\ndescription: login {count}\n\n")
            tool.stdin.flush()
        tool.stdin.close()


def _tool(slapd: Slapd, tool: str) -> subprocess.Popen[str]:
    command = [tool, "-x", "-H", slapd.uri, "-D", slapd.root_dn, "-w", slapd.root_pw]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)


def _bulk(count: int, domain: str) -> Iterator[str]:
    yield f"dn: o={domain},{SEARCH_BASE}\nobjectClass: organization\no: {domain}\n\n"
    for mail in (f"b{number}@{domain}" for number in range(count)):
        yield ENTRY.format(f"mail={mail}", domain, "courierMailAccount", ACCOUNT.format(mail, f"{domain}/{mail}/"))


async def _watch(turns: list[tuple[float, float, float]]) -> None:
    while True:
        cpu, clock = time.thread_time(), time.monotonic()
        await asyncio.sleep(STEP)
        held, took = time.thread_time() - cpu, time.monotonic() - clock
        if held > NOTED or took > NOTED + STEP:
            turns.append((clock, held, took))


async def _serve(configuration: Path, turns: list[tuple[float, float, float]]) -> None:
    watching = asyncio.create_task(_watch(turns))
    await Daemon(load_configuration(configuration)).run()
    watching.cancel()


if __name__ == "__main__":
    noted: list[tuple[float, float, float]] = []
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(Path(sys.argv[1]), noted))
    Path(sys.argv[2]).write_text(json.dumps(noted))
