"""``python -m benchmarks growth``: how the cost of an answer grows with what there is.

Three series: cached answers (1,000 to 1,000,000), connections (1 to 1,000), and entries of the directory when every
lookup misses (1,000 to 1,000,000). Needs slapd and ldap-utils. Exit status: 0 done; 1 a measurement failed or an
answer was wrong; 130 interrupted.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

from benchmarks.cpu import resident_bytes
from benchmarks.experiment import add_common, run_experiment, say
from benchmarks.growth_report import report
from benchmarks.measure import Figures, keys_of, load
from benchmarks.site import Site, Vmaild

HOT = 10_000
"""Keys that are asked while the connections grow."""

ANSWERS_FOR_EACH_KEY = 2
"""A search for a mailbox finds out what the alias map would answer as well: one record has both."""

CONNECTIONS = 50
MISS_CONNECTIONS = 16

SERIES = ("answers", "connections", "entries")


def add_to(commands: Any) -> None:
    """Add the command and its options to the parser."""
    parser = commands.add_parser(
        "growth",
        help="how cost grows with answers, connections and entries",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    steps = [1000, 10_000, 100_000, 1_000_000]
    for name, default in (("answers", steps), ("connections", [1, 10, 50, 100, 500, 1000]), ("entries", steps)):
        parser.add_argument(
            f"--{name}", type=int, nargs="+", default=default, metavar="N", help="(default: %(default)s)"
        )
    parser.add_argument("--series", nargs="+", choices=SERIES, default=list(SERIES), help="(default: all)")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement (default: %(default)s)")
    add_common(parser)


def run(arguments: argparse.Namespace) -> int:
    """Measure, print the tables, write JSON and picture; returns the exit status."""
    return run_experiment(arguments, "growth", lambda: _measure(arguments), report, "draw_growth")


def _measure(arguments: argparse.Namespace) -> dict[str, Any]:
    series: dict[str, list[Figures]] = {}
    cached = [max(arguments.answers) // ANSWERS_FOR_EACH_KEY] if "answers" in arguments.series else []
    cached += [HOT] if "connections" in arguments.series else []
    if cached:
        with Site(max(cached), say) as site:
            if "answers" in arguments.series:
                series["answers"] = _answers(site, sorted(arguments.answers), arguments.seconds)
            if "connections" in arguments.series:
                series["connections"] = _connections(site, sorted(arguments.connections), arguments.seconds)
    if "entries" in arguments.series:
        series["entries"] = [_entries(size, arguments.seconds) for size in sorted(arguments.entries)]
    return {"series": series}


def _answers(site: Site, sizes: list[int], seconds: float) -> list[Figures]:
    vmaild = site.vmaild(max_entries=2 * max(sizes))
    empty = resident_bytes(vmaild.pid)
    points = []
    for size in sizes:
        began = time.monotonic()
        say(f"{size:,} cached answers: filling the cache")
        keys = max(1, size // ANSWERS_FOR_EACH_KEY)
        _warm(site, vmaild, keys)
        answers = ANSWERS_FOR_EACH_KEY * vmaild.records()
        say(f"{answers:,} cached answers: measuring, after {time.monotonic() - began:.0f} s")
        figures = _cached(site, vmaild, keys, CONNECTIONS, seconds)
        figures["resident"] = resident_bytes(vmaild.pid)
        figures["bytes for each answer"] = (figures["resident"] - empty) / answers
        points.append({"size": answers, **figures})
    vmaild.stop()
    return points


def _connections(site: Site, sizes: list[int], seconds: float) -> list[Figures]:
    vmaild = site.vmaild()
    _warm(site, vmaild, HOT)
    points = []
    for size in sizes:
        say(f"{size:,} connections")
        points.append({"size": size, **_cached(site, vmaild, HOT, size, seconds)})
    vmaild.stop()
    return points


def _entries(size: int, seconds: float) -> Figures:
    with Site(size, say) as site:
        # Answers that live for no time: every lookup is a miss, however few keys there are.
        vmaild = site.vmaild(life=0)
        say(f"{size:,} entries: all misses")
        options = [*keys_of(site), "--connections", str(MISS_CONNECTIONS), "--duration", str(seconds), "--warm-up", "1"]
        pids = {"server": vmaild.pid, "slapd": site.slapd.pid}
        return {"size": size, **load(vmaild.socketmap, options, pids)}


def _warm(site: Site, vmaild: Vmaild, size: int) -> None:
    options = [*keys_of(site), "--hot", str(size), "--warm-keys", "--connections", str(MISS_CONNECTIONS)]
    load(vmaild.socketmap, [*options, "--warm-up", "0", "--duration", "0.2"], {})


def _cached(site: Site, vmaild: Vmaild, size: int, connections: int, seconds: float) -> Figures:
    options = [*keys_of(site), "--hot", str(size), "--connections", str(connections)]
    options += ["--duration", str(seconds), "--warm-up", "1"]
    return load(vmaild.socketmap, options, {"server": vmaild.pid})
