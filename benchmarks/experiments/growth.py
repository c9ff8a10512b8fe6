"""How the cost of an answer grows with what there is: cached answers, connections, and entries of the directory."""

from benchmarks.experiments.experiment import Run
from benchmarks.report.rows import Figures, Section
from benchmarks.site.site import Site, Vmaild
from benchmarks.site.use import resident

HOT = 10_000
"""Keys that are asked while the connections grow."""
ANSWERS_FOR_EACH_KEY = 2
"""A search for a mailbox finds out what the alias map would answer as well: one record has both."""
CONNECTIONS, MISS_CONNECTIONS = 50, 16
STEPS = [1000, 10_000, 100_000, 1_000_000]

SECTIONS = (
    Section("answers", "cached answers", "answers in the cache", "lines"),
    Section("connections", "cached answers by connections", "connections", "lines"),
    Section("entries", "every lookup a miss", "accounts in the directory", "lines"),
)
OPTIONS = {
    "seconds": (2.5, ""),
    "answers": (STEPS, "in the cache"),
    "connections": ([1, 10, 50, 100, 500, 1000], "with cached answers"),
    "entries": (STEPS, "of the directory"),
}


def measure(run: Run) -> None:
    def load(site: Site, vmaild: Vmaild, connections: int, *options: object) -> Figures:
        times = ["--seconds", run.arguments.seconds, "--warm-up", 1]
        return site.load(vmaild, *site.keys, *options, "--connections", connections, *times)

    answers, connections, entries = (sorted(getattr(run.arguments, section.name)) for section in SECTIONS)
    accounts = max(max(answers, default=0) // ANSWERS_FOR_EACH_KEY, HOT if connections else 0)
    if accounts:
        with Site(accounts, run.say) as site:
            vmaild = site.vmaild(cache={"max_entries": 2 * max(answers, default=1)})
            empty = resident(vmaild.pid)
            for size in answers:
                hot = ("--hot", max(1, size // ANSWERS_FOR_EACH_KEY))
                site.warm(vmaild, "--keys", site.addresses, *hot)
                cached = ANSWERS_FOR_EACH_KEY * int(vmaild.metrics()["cache_records"])
                figures = run.row("answers", "vmaild", cached, load, site, vmaild, CONNECTIONS, *hot)
                figures["resident"] = resident(vmaild.pid)
                figures["bytes for each answer"] = (figures["resident"] - empty) / cached
            vmaild.stop()
            vmaild = site.vmaild()
            site.warm(vmaild, "--keys", site.addresses, "--hot", HOT)
            for size in connections:
                run.row("connections", "vmaild", size, load, site, vmaild, size, "--hot", HOT)
    for size in entries:
        with Site(size, run.say) as site:
            # Answers that live for no time: every lookup is a miss, however few keys there are.
            vmaild = site.vmaild(cache={"ttl": 0, "negative_ttl": 0, "stale_ttl": 0})
            run.row("entries", "vmaild", size, load, site, vmaild, MISS_CONNECTIONS)
