"""Cached answers beside a storm of misses on a slow directory.

The directory is a real slapd behind a relay that holds each of its answers back (100 ms). While one load asks for
cached answers at a fixed rate, another asks for unknown keys at a fixed rate, and each of those is a search. Rounds
without the misses, with them, and with them on a second vmaild on the same machine alternate: what the last adds is the
machine's share, the rest is vmaild's own. Needs slapd.
"""

from __future__ import annotations

import subprocess

from benchmarks.experiments.experiment import Run
from benchmarks.report.rows import LATENCIES, Aim, Figures, Section
from benchmarks.site.site import MeasurementFailed, Site, Vmaild, finish_load, load, start_load

POOL_MARGIN = 1.28
"""More connections than rate times delay, so that a miss does not wait for one: 128 for 1,000/s and 100 ms."""

RATE = 997.0
"""Cached lookups a second: not the misses' rate, or each would always come at the same moment of a miss."""

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
    "seconds": (20.0, ""),
    "rounds": (3, ""),
    "misses": (1000.0, "a second"),
    "delay": (0.1, "of the directory, seconds"),
    "rate": (RATE, "cached lookups a second"),
    "connections": (20, "of the cached lookups"),
    "pool-size": (0, "vmaild's; 0 is what misses and delay need"),
}


def measure(run: Run) -> None:
    """All rounds."""
    arguments = run.arguments
    pool = arguments.pool_size or max(4, int(arguments.misses * arguments.delay * POOL_MARGIN))
    with Site(arguments.accounts, run.say) as site:
        slapd = f"inet:127.0.0.1:{site.slapd.port}"
        relay = site.reference("relay", "--to", slapd, "--delay", str(arguments.delay))
        uri = f"ldap://{relay.address.removeprefix('inet:')}"
        vmaild, other = (site.vmaild(uri, pool_size=pool) for _ in range(2))
        site.warm(vmaild)
        pids = {"server": vmaild.pid, "slapd": site.slapd.pid, "relay": relay.pid}
        wanted = [*site.keys, "--connections", arguments.connections, "--rate", arguments.rate]
        wanted += ["--seconds", arguments.seconds, "--warm-up", 2]
        for number in run.rounds():
            for name, missing in ((WITHOUT, None), (WITH, vmaild), (ELSEWHERE, other)):
                run.say(name)
                storm = _storm(run, site, missing, number) if missing else None
                try:
                    run.rows.add("cached", name, 0, load(vmaild.socketmap, wanted, pids))
                except BaseException:
                    if storm:
                        storm.kill()
                        storm.communicate()
                    raise
                if storm:
                    run.rows.add("misses", name, 0, _missed(finish_load(storm), arguments.delay))
    run.notes.append("\n".join(_note(name, run.rows.figures("cached", name, 0)) for name in (WITHOUT, WITH)))


def _note(name: str, figures: Figures) -> str:
    """Cores that were in use, out of CPU for each cached answer."""
    cores = [f"{who} {figures[f'cpu {who}'] * figures['rate'] / 1e3:.2f}" for who in ("server", "slapd", "relay")]
    waited = figures["waited server"]
    return (
        f"- Cores in use, {name}: {', '.join(cores)}. vmaild was ready and waited for a core {waited:.0%} of the time."
    )


def _missed(figures: Figures, delay: float) -> Figures:
    if figures["p50"] < delay * 1e3:
        raise MeasurementFailed(f"half of the misses took less than {figures['p50']:.1f} ms: from the cache")
    return figures


def _storm(run: Run, site: Site, vmaild: Vmaild, number: int) -> subprocess.Popen[bytes]:
    """Misses that begin before the measured time of the cached answers and end after it.

    Each round has keys of its own: those of the round before are in the cache.
    """
    arguments = run.arguments
    connections = max(10, int(arguments.misses * arguments.delay * 4))
    wanted = [*site.keys, "--unknown", 1, "--connections", connections, "--rate", arguments.misses]
    wanted += ["--seed", number + 1, "--seconds", arguments.seconds + 4, "--warm-up", 1]
    return start_load(vmaild.socketmap, wanted, {})
