"""Cached answers without and with a storm of misses on a slow directory, and with one on another vmaild."""

from functools import partial

from benchmarks.experiments.experiment import Run
from benchmarks.report.rows import LATENCIES, Aim, Figures, Section
from benchmarks.site.site import MeasurementFailed, Site, finish_load

POOL_MARGIN = 1.28
"""More connections than rate times delay, so that a miss does not wait for one: 128 for 1,000/s and 100 ms."""
WITHOUT, WITH, ELSEWHERE = "without misses", "vmaild with misses", "with misses on another vmaild"
SECTIONS = (
    Section("cached", "Cached answers beside misses", "", "bars", "p99", LATENCIES),
    Section("misses", "The misses", "", "", latencies=LATENCIES),
)
AIMS = (
    Aim("p99 with misses, over p99 without", "cached", 0, WITH, WITHOUT, "p99", most=2.0),
    Aim("p99 with misses on another vmaild, over p99 without", "cached", 0, ELSEWHERE, WITHOUT, "p99"),
)
OPTIONS = {
    "accounts": (10_000, ""),
    "seconds": (10.0, ""),
    "rounds": (3, ""),
    "misses": (1000.0, "a second"),
    "delay": (0.1, "of the directory, seconds"),
    # Not the misses' rate, or each would always come at the same moment of a miss.
    "rate": (997.0, "cached lookups a second"),
}


def measure(run: Run) -> None:
    delay, missing = run.arguments.delay, run.arguments.misses * run.arguments.delay
    with Site(run.arguments.accounts, run.say) as site:
        relay = site.server("relay", "--to", f"inet:127.0.0.1:{site.slapd.port}", "--delay", str(delay))
        uri = f"ldap://{relay.address.removeprefix('inet:')}"
        vmaild, other = (site.vmaild(uri, pool_size=max(4, int(missing * POOL_MARGIN))) for _ in range(2))
        site.warm(vmaild)
        wanted = [*site.keys, "--connections", 20, "--rate", run.arguments.rate]
        wanted += ["--seconds", run.arguments.seconds, "--warm-up", 2]
        # The misses begin before the measured time of the cached answers and end after it.
        storm = [*site.keys, "--unknown", 1, "--connections", max(10, int(missing * 4)), "--rate", run.arguments.misses]
        storm += ["--seconds", run.arguments.seconds + 4, "--warm-up", 1]
        cached = partial(site.load, vmaild, *wanted, relay=relay.pid)
        for number in run.rounds():
            run.row("cached", WITHOUT, 0, cached)
            for name, where in ((WITH, vmaild), (ELSEWHERE, other)):
                # Each round has keys of its own: those of the round before are in the cache.
                misses = site.start_load(where, *storm, "--seed", number + 1)
                site.callback(misses.kill)
                run.row("cached", name, 0, cached)
                figures = run.row("misses", name, 0, finish_load, misses)
                if figures["p50"] < delay * 1e3:
                    raise MeasurementFailed(f"half of the misses took at most {figures['p50']:.1f} ms: no misses")
    run.notes.append("\n".join(_note(name, run.rows.figures("cached", name, 0)) for name in (WITHOUT, WITH)))


def _note(name: str, figures: Figures) -> str:
    """Cores that were in use, out of CPU for each cached answer."""
    cores = [f"{who} {figures[f'cpu {who}'] * figures['rate'] / 1e3:.2f}" for who in ("server", "slapd", "relay")]
    waited = f"vmaild was ready and waited for a core {figures['waited server']:.0%} of the time"
    return f"- Cores in use, {name}: {', '.join(cores)}. {waited}."
