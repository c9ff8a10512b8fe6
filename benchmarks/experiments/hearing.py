"""What hearing of changes costs beside a load.

``logins``: so many logins a second are recorded in entries (a write to ``description``, which no map asks for) beside
lookups, and the hit ratio is compared with that of the same lookups without. ``bulk``: so many entries are added while
what is cached is asked for: vmaild's own searches, and how long hits took, the longest of which tells how long the loop
was held. Each run is of a daemon of its own. Needs slapd and ldap-utils.
"""

from __future__ import annotations

import random
import time

from benchmarks.experiments.experiment import Run
from benchmarks.report.rows import LATENCIES, Figures, Section
from benchmarks.site.population import account_entry, dn, domain_entry
from benchmarks.site.site import Site, finish_load

SECTIONS = (
    Section("logins", "Logins recorded beside lookups", "logins a second", "bars", "hit ratio"),
    Section("bulk", "Entries added beside hits", "entries", "bars", "max", LATENCIES),
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
    with Site(run.arguments.accounts, run.say, syncprov=True) as site:
        for mode in run.arguments.modes:
            for rate in run.arguments.logins:
                run.say(f"{mode}: {rate} logins a second")
                run.rows.add("logins", f"vmaild, {mode}", rate, _measure(run, site, mode, logins=rate))
            for entries in run.arguments.entries:
                run.say(f"{mode}: {entries:,} entries")
                run.rows.add("bulk", f"vmaild, {mode}", entries, _measure(run, site, mode, entries=entries))


def _measure(run: Run, site: Site, mode: str, *, logins: int = 0, entries: int = 0) -> Figures:
    """Fill the cache by a load, then measure the same once more; what is heard of happens during it."""
    vmaild = site.vmaild(changes=mode)
    vmaild.await_mode(mode)
    wanted = [*site.keys, "--zipf", 1, "--rate", run.arguments.lookups, "--seconds", run.arguments.seconds]
    site.load(vmaild, *wanted, "--warm-up", 0)
    before = vmaild.metrics()
    asking = site.start_load(vmaild, *wanted, "--warm-up", 0)
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
    vmaild.stop()
    changed.subtract(before)
    misses = changed["cache_misses_total"] + changed["cache_expired_total"]
    heard, searches = changed["changes_heard_total"], changed["ldap_searches_total"]
    return {**figures, "heard": heard, "searches": searches, "hit ratio": 1 - misses / changed["lookups_total"]}
