"""What a cached answer costs: CPU of vmaild for each lookup, next to the least that a server in Python can do."""

import itertools

from benchmarks.experiments.experiment import Run
from benchmarks.report.rows import Aim, Section
from benchmarks.site.site import WAYS, Server, Site, Vmaild

ECHO, BARE, VMAILD = "echo", "bare", "vmaild"
SECTIONS = [Section(f"{one} {way}", f"{one} over {way}", "connections", "bars", "cpu server") for one, way in WAYS]
AIMS = [
    Aim(f"CPU over bare: {each.name}, {count} connections", each.name, count, VMAILD, BARE, "cpu server", most=1.15)
    for each, count in itertools.product(SECTIONS, (50, 500))
]
OPTIONS = {"accounts": (10_000, ""), "seconds": (1.2, ""), "rounds": (6, ""), "connections": ([50, 500], "at a time")}


def measure(run: Run) -> None:
    with Site(run.arguments.accounts, run.say) as site:
        vmaild = site.vmaild()
        site.warm(vmaild)
        servers = {way: (_server(site, way, ECHO), _server(site, way, BARE)) for way in WAYS}
        for number in run.rounds():
            for way, count in itertools.product(WAYS, run.arguments.connections):
                run.say(f"{' '.join(way)}, {count} connections")
                wanted = ["--keys", site.addresses, "--connections", count, "--lockstep", "--warm-up", 0.5]
                wanted += ["--seconds", run.arguments.seconds]
                (echo, bare), checked = servers[way], ["--protocol", way[0], "--expect", site.table]
                rivals: list[tuple[str, Vmaild | Server, str, list[object]]] = [
                    (ECHO, echo, echo.address, ["--protocol", "echo"]),
                    (BARE, bare, bare.address, checked),
                    (VMAILD, vmaild, vmaild.listens[way], checked),
                ]
                # Neither is always the one that comes second.
                for name, server, at, own in rivals[::-1] if number % 2 else rivals:
                    run.rows.add(" ".join(way), name, count, site.load(server, *wanted, *own, at=at))


def _server(site: Site, way: tuple[str, str], name: str) -> Server:
    protocol, transport = way
    address = f"unix:{site.home}/{name}-{protocol}" if transport == "unix" else ""
    return site.server(name, "--table", str(site.table), "--protocol", protocol, address=address)
