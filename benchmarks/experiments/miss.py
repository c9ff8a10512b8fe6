"""What an answer costs that is not cached, with both sides of a comparison in every round."""

import itertools
from collections.abc import Callable
from functools import partial
from typing import cast

from benchmarks.experiments.directory import filled, search_in_lines
from benchmarks.experiments.experiment import Run
from benchmarks.experiments.rivals import LDAP, VMAILD, Rivals
from benchmarks.load.loop import run_in_uvloop
from benchmarks.report.rows import Aim, Figures, Section
from benchmarks.site.population import PER_DOMAIN, address
from benchmarks.site.site import MeasurementFailed, Site
from vmaild.config.maps import Common, read_maps
from vmaild.config.section import Problems
from vmaild.demo.tree import SEARCH_BASE
from vmaild.lookup import Search
from vmaild.tables import KeyLookup

CLIENTS = 16
"""Connections, lines and postmap processes: as many as a small Postfix has smtpd processes."""
ALONE = "the directory layer alone"
SECTIONS = (
    Section("cpu", "A miss, and its search alone", "connections", "bars", "cpu server"),
    Section("postmap", "Misses by `postmap -q -`", "processes"),
    Section("rcpt", "RCPT TO through Postfix, each recipient once", "sessions"),
)
AIMS = (
    Aim("CPU of a miss over the search alone", "cpu", CLIENTS, VMAILD, ALONE, "cpu server", most=2.2),
    Aim("misses a second through 16 postmap, over ldap:", "postmap", CLIENTS, VMAILD, LDAP, least=0.8),
    Aim("misses a second through 1 postmap, over ldap:", "postmap", 1, VMAILD, LDAP, least=0.5),
    Aim("RCPT TO, each once, 1 session, over ldap:", "rcpt", 1, VMAILD, LDAP, least=1.1),
    *(Aim(f"RCPT TO, each once, {n} sessions, over ldap:", "rcpt", n, VMAILD, LDAP, least=1.3) for n in (10, 50)),
)
OPTIONS = {
    "accounts": (100_000, ""),
    "seconds": (2.0, ""),
    "rounds": (3, ""),
    "sessions": ([1, 10, 50], "of SMTP, at a time"),
    "parts": (["cpu", "postmap", "rcpt"], "what to measure"),
}


def measure(run: Run) -> None:
    accounts = max(run.arguments.accounts, 3 * PER_DOMAIN)
    with Site(accounts, run.say, bulk=accounts // 5) as site:
        rivals = Rivals(run, site, all_of_them=False)
        parts: dict[str, Callable[[Rivals], None]]
        parts = {"cpu": _cpu, "postmap": _postmap, "rcpt": partial(Rivals.rcpt, misses=True)}
        for _ in run.rounds():
            for part in run.arguments.parts:
                parts[part](rivals)


def _cpu(rivals: Rivals) -> None:
    run, site, seconds = rivals.run, rivals.site, rivals.run.arguments.seconds
    rivals.vmaild.flush()
    wanted = [*site.keys, "--seconds", seconds, "--warm-up", 0.5, "--connections", CLIENTS, "--cold", 1]
    if run.row("cpu", VMAILD, CLIENTS, site.load, rivals.vmaild, *wanted)["reused"]:
        raise MeasurementFailed("there are too few accounts: some were asked for twice")
    run.row("cpu", ALONE, CLIENTS, lambda: run_in_uvloop(_search_alone(site, seconds)))


async def _search_alone(site: Site, seconds: float) -> Figures:
    """The searches that lookups of the accounts make, worked out beforehand, since that is not what is measured."""
    group = read_maps("courier", {}, Common(SEARCH_BASE, "+"), Problems("miss")).groups[1]
    addresses = list(map(address, range(min(site.accounts, 20_000))))
    async with filled(site.slapd.uri) as pool:
        searches = {mail: cast(Search, KeyLookup(group, mail, pool.schema).settle(0)) for mail in addresses}
        figures = await search_in_lines(
            lambda mail: pool.search(searches[mail]), CLIENTS, len(searches), seconds, site.slapd.pid
        )
    return {"cpu server": figures.pop("client_cpu"), **figures}


def _postmap(rivals: Rivals) -> None:
    accounts = rivals.site.accounts
    # The next one that is asked is of another domain; the step is prime, so that all come once in a pass.
    everything = [address(number * 7919 % accounts).encode() for number in range(accounts)]
    with rivals.postfix(rivals.named(LDAP)) as postfix:
        for clients, rival in itertools.product((1, CLIENTS), rivals.all):
            rivals.postmap(postfix, rival.name, rival, clients, everything, misses=True)
