"""``python -m benchmarks interference``: cached answers beside a storm of misses on a slow directory.

The directory is a real slapd behind a relay that holds each of its answers back (100 ms). While one load asks for
cached answers at a fixed rate, another asks for unknown keys at a fixed rate, and each of those is a search. Rounds
without the misses, with them, and with them on a second vmaild on the same machine alternate: what the last adds is the
machine's share, the rest is vmaild's own. Exit status: 0 done; 1 a measurement failed, an answer was wrong, or
``--fail-if-ratio`` was exceeded; 130 interrupted.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from benchmarks.experiment import EXIT_FAILED, add_common, run_experiment, say
from benchmarks.load_report import milliseconds
from benchmarks.measure import Figures, MeasurementFailed, finish_load, keys_of, load, start_load
from benchmarks.samples import table
from benchmarks.site import Site, Vmaild

HOT = 10_000
"""Cached answers that are asked for."""

POOL_MARGIN = 1.28
"""More connections than rate times delay, so that a miss does not wait for one: 128 for 1,000/s and 100 ms."""

RATE = 997.0
"""Cached lookups a second: not the misses' rate, or each would always come at the same moment of a miss."""

STATES = {"without": "without misses", "with": "with misses", "elsewhere": "with misses on another vmaild"}

PROCESSES = ("vmaild", "slapd", "relay")

LATENCIES = ("p50", "p90", "p99", "p99.9", "max")


def add_to(commands: Any) -> None:
    """Add the command and its options to the parser."""
    parser = commands.add_parser(
        "interference",
        help="cached answers while others miss",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    parser.add_argument("--misses", type=float, default=1000.0, help="misses a second (default: %(default)s)")
    parser.add_argument("--delay", type=float, default=0.1, help="of the directory, seconds (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=RATE, help="cached lookups a second (default: %(default)s)")
    parser.add_argument("--connections", type=int, default=20, help="of the cached lookups (default: %(default)s)")
    parser.add_argument("--accounts", type=int, default=HOT, help="size of the directory (default: %(default)s)")
    parser.add_argument("--pool-size", type=int, default=0, help="vmaild's (default: what rate and delay need)")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each measurement (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="(default: %(default)s)")
    parser.add_argument("--fail-if-ratio", type=float, metavar="N", help="exit 1 when p99 grows more than N times")
    add_common(parser)


def run(arguments: argparse.Namespace) -> int:
    """Measure, print the table, write JSON and picture; returns the exit status."""
    ratios: list[float] = []

    def measure() -> dict[str, Any]:
        result = _measure(arguments)
        ratios.append(result["ratio"])
        return result

    status = run_experiment(arguments, "interference", measure, report, "draw_interference")
    limit = arguments.fail_if_ratio
    if not status and limit is not None and ratios[0] > limit:
        print(f"interference: p99 grew {ratios[0]:.2f} times, more than {limit:g}", file=sys.stderr)
        return EXIT_FAILED
    return status


def report(result: Mapping[str, Any]) -> str:
    """The table as Markdown."""
    header = ["cached answers", *LATENCIES]
    lines = [[title, *(milliseconds(result[state][name]) for name in LATENCIES)] for state, title in STATES.items()]
    misses = result["misses"]
    return (
        f"## Cached answers beside misses\n\n{table(header, lines)}\n\n"
        f"p99 with misses is {result['ratio']:.2f} times that without (aim: at most 2), and with them on another "
        f"vmaild {result['machine_ratio']:.2f} times. The misses: "
        f"{misses['rate']:,.0f}/s, p50 {milliseconds(misses['p50'])}, p99 {milliseconds(misses['p99'])}, "
        f"{misses['temp']:,.0f} temporary failures. Cores in use meanwhile: {_cores(result['with'])}; "
        f"without misses: {_cores(result['without'])}. vmaild was ready and waited for a core "
        f"{result['with']['waited vmaild']:.0%} of the time, without misses {result['without']['waited vmaild']:.0%}."
    )


def _cores(figures: Figures) -> str:
    """CPU seconds a second of each process; ``figures`` has them in milliseconds for each cached answer."""
    return ", ".join(f"{name} {figures[f'cpu {name}'] * figures['rate'] / 1e3:.2f}" for name in PROCESSES)


def _measure(arguments: argparse.Namespace) -> dict[str, Any]:
    pool = arguments.pool_size or max(4, int(arguments.misses * arguments.delay * POOL_MARGIN))
    with Site(arguments.accounts, say) as site:
        slapd = f"127.0.0.1:{site.slapd.port}"
        relay = site.reference("relay", "--to", f"inet:{slapd}", "--delay", str(arguments.delay))
        uri = f"ldap://{relay.address.removeprefix('inet:')}"
        vmaild, other = (site.vmaild(uri, pool_size=pool) for _ in range(2))
        pids = dict(zip(PROCESSES, (vmaild.pid, site.slapd.pid, relay.pid), strict=True))
        _warm(site, vmaild)
        samples: dict[str, list[Figures]] = {state: [] for state in (*STATES, "misses")}
        for number in range(arguments.rounds):
            for state, missing in (("without", None), ("with", vmaild), ("elsewhere", other)):
                say(f"round {number + 1} of {arguments.rounds}, {STATES[state]}")
                storm = _storm(arguments, site, missing, number) if missing else None
                try:
                    samples[state].append(_cached(arguments, site, vmaild, pids))
                except BaseException:
                    if storm:
                        storm.kill()
                        storm.communicate()
                    raise
                if storm:
                    samples["misses"].append(_missed(finish_load(storm)["figures"], arguments.delay))
    medians = {state: _median(figures) for state, figures in samples.items()}
    ratios = {
        state: statistics.median(
            loud["p99"] / quiet["p99"] for quiet, loud in zip(samples["without"], samples[state], strict=True)
        )
        for state in ("with", "elsewhere")
    }
    return {
        **medians,
        "ratio": ratios["with"],
        "machine_ratio": ratios["elsewhere"],
        "pool_size": pool,
        "delay": arguments.delay,
        "samples": samples,
    }


def _median(samples: list[Figures]) -> Figures:
    return {name: statistics.median(sample[name] for sample in samples) for name in samples[0]}


def _warm(site: Site, vmaild: Vmaild) -> None:
    options = [*keys_of(site), "--hot", str(HOT), "--warm-keys", "--connections", "64"]
    load(vmaild.socketmap, [*options, "--warm-up", "0", "--duration", "0.2"], {})


def _cached(arguments: argparse.Namespace, site: Site, vmaild: Vmaild, pids: Mapping[str, int]) -> Figures:
    options = [*keys_of(site), "--hot", str(HOT), "--connections", str(arguments.connections)]
    options += ["--rate", str(arguments.rate), "--duration", str(arguments.seconds), "--warm-up", "2"]
    return load(vmaild.socketmap, options, pids)


def _missed(figures: Figures, delay: float) -> Figures:
    """``figures`` of the misses. MeasurementFailed when they were none: the directory takes ``delay`` seconds."""
    if figures["p50"] < delay * 1e3:
        raise MeasurementFailed(
            f"half of the misses were answered within {milliseconds(figures['p50'])}: from the cache"
        )
    return figures


def _storm(arguments: argparse.Namespace, site: Site, vmaild: Vmaild, number: int) -> subprocess.Popen[bytes]:
    """Misses that begin before the measured time of ``_cached`` and end after it.

    Each round has keys of its own: those of the round before are in the cache.
    """
    connections = max(10, int(arguments.misses * arguments.delay * 4))
    options = [*keys_of(site), "--unknown", "1", "--connections", str(connections), "--rate", str(arguments.misses)]
    options += ["--seed", str(number + 1), "--duration", str(arguments.seconds + 4), "--warm-up", "1"]
    return start_load(vmaild.socketmap, options, {})
