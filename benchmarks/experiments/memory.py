"""What a record takes of memory, while changes are heard and while not, and how well a cache keeps to its bound."""

import time

from benchmarks.experiments.experiment import Run
from benchmarks.report.rows import Figures, Section
from benchmarks.site.population import address, domain_of
from benchmarks.site.site import ONCE, MeasurementFailed, Site, finish_load
from benchmarks.site.use import resident

MIB = 1 << 20
UNBOUNDED = {"max_entries": 10**8, "max_negative_entries": 10**8}
FIRST = 1000
"""Records before those that are weighed: they bring what is made once."""
STEPS = 5000
"""Lookups of a flood for each MiB: twice what there is room for, of the smallest records."""
SECTIONS = (
    Section("records", "What a record takes", "records", "bars", "resident a record"),
    Section("flood", "More than what a cache may hold", "MiB", "bars", "most"),
)
OPTIONS = {
    "records": ([100_000], "to weigh"),
    "flood": ([16], "MiB that the cache may take"),
    "kinds": (["accounts", "nobody", "both"], "of flood"),
}


def measure(run: Run) -> None:
    records, sizes = run.arguments.records, run.arguments.flood
    accounts = max(*(count + FIRST for count in [0, *records]), *(STEPS * mib for mib in [0, *sizes]))
    with Site(accounts, run.say, syncprov=True) as site:
        for count in records:
            for changes in ("none", "sync"):
                run.row("records", f"changes: {changes}", count, _weigh, site, changes, count)
        for mib in sizes:
            for kind in run.arguments.kinds:
                run.row("flood", kind, mib, _flood, site, kind, mib)


def _weigh(site: Site, changes: str, count: int) -> Figures:
    vmaild = site.vmaild(changes=changes, cache={"max_size": 1 << 36, **UNBOUNDED})
    vmaild.await_mode(changes)
    site.warm(vmaild, "--keys", site.addresses, "--hot", FIRST)
    before, kept = resident(vmaild.pid), vmaild.metrics()["cache_records"]
    site.warm(vmaild, "--keys", site.addresses, "--hot", FIRST + count)
    sums, memory = vmaild.metrics(), resident(vmaild.pid)
    vmaild.stop()
    dependences, records = sums["cache_dependences_bytes"], sums["cache_records"]
    return {
        "resident a record": (memory - before) / (records - kept),
        "accounted a record": (sums["cache_bytes"] + dependences) / records,
        "dependences a record": dependences / records,
    }


def _flood(site: Site, kind: str, mib: int) -> Figures:
    """The most memory beyond what there was at first, and what is accounted for in the end, in bytes."""

    def accounted() -> float:
        sums = vmaild.metrics()
        total = sums["cache_bytes"] + sums["cache_dependences_bytes"]
        if total > mib * MIB:
            raise MeasurementFailed(f"{total:,.0f} bytes are accounted for, and {mib} MiB are the bound")
        return total

    nobody = {"accounts": 0, "nobody": 1, "both": 2}[kind]
    keys = (
        f"{number:x}.nobody@{domain_of(number)}\n" if nobody and number % nobody == 0 else f"{address(number)}\n"
        for number in range(mib * STEPS)
    )
    asked = site.write(kind, (key.encode() for key in keys))
    vmaild = site.vmaild(changes="sync", cache={"max_size": mib * MIB, **UNBOUNDED})
    vmaild.await_mode("sync")
    before, most = resident(vmaild.pid), 0
    asking = site.start_load(vmaild, "--keys", asked, *ONCE)
    while asking.poll() is None:
        most = max(most, resident(vmaild.pid))
        accounted()
        time.sleep(0.05)
    finish_load(asking)
    result = {"most": most - before, "accounted": accounted(), "kept": vmaild.metrics()["cache_records"]}
    vmaild.stop()
    return result
