"""What a cached answer costs: CPU of vmaild for each lookup, next to the least that Python can do.

``echo`` is an ``asyncio.Protocol`` under uvloop that sends back what came and nothing else: no requests in pieces, no
ages, no counters. All connections ask at the same time, and again when all have their answers, so that each server
always finds as many requests waiting; if each went on by itself, a server that is a little faster would find
fewer at a time and pay for more system calls, and the comparison would be of the client's speed. Needs slapd.
"""

from __future__ import annotations

import argparse

from benchmarks.experiments.experiment import Run
from benchmarks.experiments.loads import load, warm
from benchmarks.report.rows import Aim, Section
from benchmarks.site.site import Site

PROTOCOLS, TRANSPORTS = ("socketmap", "tcp_table"), ("tcp", "unix")
WAYS = [(protocol, transport) for protocol in PROTOCOLS for transport in TRANSPORTS]
ECHO, VMAILD = "echo", "vmaild"

SECTIONS = [Section(f"{one} {way}", f"{one} over {way}", "connections", "bars", "cpu server") for one, way in WAYS]
AIMS = [
    Aim(
        f"CPU over echo: {section.name}, {count} connections",
        section.name,
        count,
        VMAILD,
        ECHO,
        "cpu server",
        most=1.15,
    )
    for section in SECTIONS
    for count in (50, 500)
]
DEFAULTS = {"accounts": 10_000, "seconds": 2.0, "rounds": 5}


def options(parser: argparse.ArgumentParser) -> None:
    """Its own options."""
    parser.add_argument("--connections", type=int, nargs="+", default=[50, 500], metavar="N", help="(default: 50 500)")


def measure(run: Run) -> None:
    """All ways in turn."""
    with Site(run.arguments.accounts, run.say) as site:
        vmaild = site.vmaild()
        warm(site, vmaild, ["--keys", site.addresses])
        echoes = {"tcp": site.reference("echo"), "unix": site.reference("echo", address=f"unix:{site.home}/echo")}
        for number in run.rounds():
            for way in WAYS:
                echo = echoes[way[1]]
                rivals: list[tuple[str, str, int, list[object]]] = [
                    (ECHO, echo.address, echo.pid, ["--protocol", "echo"]),
                    (VMAILD, vmaild.listens[way], vmaild.pid, ["--protocol", way[0], "--expect", site.table]),
                ]
                for count in run.arguments.connections:
                    run.say(f"round {number + 1} of {run.arguments.rounds}: {' '.join(way)}, {count} connections")
                    wanted = ["--keys", site.addresses, "--connections", count, "--lockstep", "--warm-up", 0.5]
                    wanted += ["--seconds", run.arguments.seconds]
                    # Neither is always the one that comes second.
                    for name, where, pid, own in rivals[::-1] if number % 2 else rivals:
                        run.rows.add(" ".join(way), name, count, load(where, [*wanted, *own], {"server": pid}))
