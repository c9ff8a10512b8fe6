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

import uvloop

from benchmarks.experiments.experiment import Run
from benchmarks.report.rows import Figures, Section
from benchmarks.site.population import account_entry, dn, domain_entry
from benchmarks.site.site import Site, finish_load, load, start_load
from vmaild.config import load as load_configuration
from vmaild.daemon import Daemon
from vmaild.demo.slapd import Slapd

NOTED = 0.005
"""Seconds of a turn of the loop that is worth noting."""

STEP = 0.001

SECTIONS = (
    Section("logins", "Logins recorded beside lookups", "logins a second", "bars", "hit ratio"),
    Section("bulk", "Entries added beside hits", "entries", "bars", "longest turn"),
)
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
                with _logins(site, rate):
                    run.rows.add("logins", f"vmaild, {mode}", rate, _measure(run, site, mode))
            for entries in run.arguments.entries:
                run.say(f"{mode}: {entries:,} entries")
                run.rows.add("bulk", f"vmaild, {mode}", entries, _measure(run, site, mode, entries))


def _measure(run: Run, site: Site, mode: str, entries: int = 0) -> Figures:
    """Fill the cache by a load, then measure the same once more; ``entries`` are added during it."""
    vmaild = site.vmaild(changes=mode, start=False)
    vmaild.run_by("benchmarks.experiments.hearing")
    vmaild.start()
    vmaild.await_mode(mode)
    wanted = [*site.keys, "--zipf", 1, "--rate", run.arguments.lookups, "--seconds", run.arguments.seconds]
    load(vmaild.socketmap, [*wanted, "--warm-up", 0], {})
    first, began = vmaild.metrics(), time.monotonic()
    pids = {"server": vmaild.pid, "slapd": site.slapd.pid}
    asking = start_load(vmaild.socketmap, [*wanted, "--warm-up", 0], pids)
    if entries:
        with _tool(site.slapd, "ldapadd") as tool:
            assert tool.stdin is not None
            tool.stdin.writelines(_bulk(entries, f"{vmaild.home.name}.example"))
    figures = finish_load(asking)
    changed, ended = vmaild.metrics(), time.monotonic()
    changed.subtract(first)
    vmaild.stop()
    turns = [turn[1:] for turn in json.loads(_turns(vmaild.configuration).read_text()) if began <= turn[0] <= ended]
    held, took = (max(column) for column in zip((0.0, 0.0), *turns, strict=True))
    misses = changed["cache_misses_total"] + changed["cache_expired_total"]
    return {
        **figures,
        "heard": changed["changes_heard_total"],
        "searches": changed["ldap_searches_total"],
        "longest turn": 1e3 * held,
        "longest turn, clock": 1e3 * took,
        "hit ratio": 1 - misses / changed["lookups_total"],
    }


@contextmanager
def _logins(site: Site, rate: float) -> Iterator[None]:
    """Records logins through one ldapmodify for the length of a block."""
    stop = threading.Event()
    thread = threading.Thread(target=_record, args=(site, rate, stop), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _record(site: Site, rate: float, stop: threading.Event) -> None:
    chance = random.Random(3)
    with _tool(site.slapd, "ldapmodify") as tool:
        assert tool.stdin is not None
        begin = time.monotonic()
        for count in range(sys.maxsize):
            if stop.wait(max(0.0, begin + count / rate - time.monotonic()) if rate else None):
                break
            number = int(site.accounts * chance.random() ** 3)
            change = f"changetype: modify\nreplace: description\ndescription: login {count}"
            tool.stdin.write(f"dn: {dn(number)}\n{change}\n\n")
            tool.stdin.flush()


def _tool(slapd: Slapd, tool: str) -> subprocess.Popen[str]:
    command = [tool, "-x", "-H", slapd.uri, "-D", slapd.root_dn, "-w", slapd.root_pw]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)


def _bulk(count: int, domain: str) -> Iterator[str]:
    yield domain_entry(domain)
    for mail in (f"b{number}@{domain}" for number in range(count)):
        yield account_entry(domain, mail, f"{domain}/{mail}/")


def _turns(configuration: Path) -> Path:
    return configuration.with_name("turns.json")


async def _watch(turns: list[tuple[float, float, float]]) -> None:
    while True:
        cpu, clock = time.thread_time(), time.monotonic()
        await asyncio.sleep(STEP)
        held, took = time.thread_time() - cpu, time.monotonic() - clock
        if held > NOTED or took > NOTED + STEP:
            turns.append((clock, held, took))


async def _serve(configuration: Path) -> None:
    turns: list[tuple[float, float, float]] = []
    watching = asyncio.create_task(_watch(turns))
    await Daemon(load_configuration(configuration)).run()
    watching.cancel()
    _turns(configuration).write_text(json.dumps(turns))


if __name__ == "__main__":
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    uvloop.run(_serve(Path(sys.argv[1])))
