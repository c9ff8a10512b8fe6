"""What hearing of changes costs beside a load. README.md says what is measured."""

import os
import random
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.experiments.experiment import Run
from benchmarks.report.rows import LATENCIES, Aim, Figures, Section
from benchmarks.site.population import account_entry, dn, domain_entry
from benchmarks.site.site import Site, Vmaild, finish_load

BULK = {"shared": "cores shared", "apart": "cores apart"}
MODES = ("none", "sync", "poll")
SECTIONS = [
    Section("logins", "Logins recorded beside lookups", "logins a second", "bars", "hit ratio"),
    *(Section(name, f"Entries added beside hits, {text}", "", "bars", "p99", LATENCIES) for name, text in BULK.items()),
]
AIMS = [
    Aim(f"p99 with entries added, {text}: {mode}", name, 0, f"{mode}, adding", mode, "p99", most=2.0)
    for name, text in BULK.items()
    for mode in MODES
]
OPTIONS = {
    "accounts": (5000, ""),
    "seconds": (8.0, ""),
    "rounds": (3, ""),
    "modes": (list(MODES), "sync, poll or none"),
    "logins": ([0, 200], "a second"),
    "bulk": (list(BULK), "shared or apart"),
    "entries": (50_000, "to add"),
    "lookups": (500.0, "a second"),
}


def measure(run: Run) -> None:
    with Site(run.arguments.accounts, run.say, syncprov=True) as site:
        for _ in run.rounds():
            for mode in run.arguments.modes:
                with _filled(site, mode) as vmaild:
                    for rate in run.arguments.logins:
                        run.say(f"{mode}: {rate} logins a second")
                        run.rows.add("logins", f"vmaild, {mode}", rate, _measure(run, site, vmaild, logins=rate))
                for name in run.arguments.bulk:
                    with _filled(site, mode) as vmaild, _cores(site, vmaild, apart=name == "apart") as own:
                        for row, entries in ((mode, 0), (f"{mode}, adding", run.arguments.entries)):
                            run.say(f"{row}, {BULK[name]}")
                            run.rows.add(name, row, 0, _measure(run, site, vmaild, entries=entries, own=own))


@contextmanager
def _filled(site: Site, mode: str) -> Iterator[Vmaild]:
    """A vmaild that hears in this way and has all answers."""
    vmaild = site.vmaild(changes=mode)
    vmaild.await_mode(mode)
    site.warm(vmaild)
    yield vmaild
    vmaild.stop()


@contextmanager
def _cores(site: Site, vmaild: Vmaild, *, apart: bool) -> Iterator[list[int]]:
    """The core of vmaild and the load, and slapd and what is started from here on the others; none when not apart."""
    *others, own = all_of_them = sorted(os.sched_getaffinity(0))
    if apart:
        _keep(vmaild.pid, [own], priority=1)
        _keep(site.slapd.pid, others)
        _keep(os.getpid(), others)
    try:
        yield [own] if apart else []
    finally:
        _keep(site.slapd.pid, all_of_them)
        _keep(os.getpid(), all_of_them)


def _keep(pid: int, cores: Collection[int], *, priority: int = 0) -> None:
    """Keep a process on these cores, before all others there if it has a priority."""
    for thread in (int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()):
        os.sched_setaffinity(thread, cores)
        if priority:
            os.sched_setscheduler(thread, os.SCHED_FIFO, os.sched_param(priority))


def _measure(
    run: Run, site: Site, vmaild: Vmaild, *, logins: int = 0, entries: int = 0, own: Collection[int] = ()
) -> Figures:
    before = vmaild.metrics()
    wanted = [*site.keys, "--zipf", 1, "--rate", run.arguments.lookups, "--seconds", run.arguments.seconds]
    asking = site.start_load(vmaild, *wanted, "--warm-up", 0.5)
    if own:
        _keep(asking.pid, own, priority=2)
    if entries:
        domain = f"{vmaild.home.name}.example"
        mails = (f"b{number}@{domain}" for number in range(entries))
        added = (account_entry(domain, mail, f"{domain}/{mail}/") for mail in mails)
        site.slapd.add("".join([domain_entry(domain), *added]))
    # Those of a tenth of a second are recorded together.
    chance, together = random.Random(3), max(1, logins // 10)
    while logins and asking.poll() is None:
        time.sleep(together / logins)
        numbers = [int(site.accounts * chance.random() ** 3) for _ in range(together)]
        change = f"changetype: modify\nreplace: description\ndescription: login {chance.random()}"
        site.slapd.modify("".join(f"dn: {dn(number)}\n{change}\n\n" for number in numbers))
    figures, changed = finish_load(asking), vmaild.metrics()
    changed.subtract(before)
    misses = changed["cache_misses_total"] + changed["cache_expired_total"]
    heard, searches = changed["changes_heard_total"], changed["ldap_searches_total"]
    return {**figures, "heard": heard, "searches": searches, "hit ratio": 1 - misses / changed["lookups_total"]}
