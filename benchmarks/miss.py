"""``python -m benchmarks miss``: what an answer costs that is not cached.

Four comparisons, each side measured in every round, on a directory of its own:

- CPU of a miss in vmaild, over CPU of the same search made by the directory layer alone;
- misses through 16 ``postmap -q -``, and through one, over Postfix's own ``ldap:`` table;
- RCPT TO with each recipient asked once, over ``ldap:``, by a real Postfix.

Needs root, slapd, ldap-utils, postfix and postfix-ldap; touches none that is installed. Exit status: 0 done; 1 a
measurement failed or an answer was wrong; 130 interrupted.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import time
from collections.abc import Iterator
from typing import Any

import uvloop

from benchmarks.compare_report import ratio
from benchmarks.cpu import family_cpu
from benchmarks.experiment import add_common, run_experiment, say
from benchmarks.load_report import milliseconds
from benchmarks.measure import Figures, MeasurementFailed, keys_of, load
from benchmarks.population import PER_DOMAIN, address, mailboxes
from benchmarks.postfix_tables import SETTINGS, ldap_settings, ldap_table, socketmap_settings, socketmap_table
from benchmarks.postmap import run_postmap
from benchmarks.rivals import VMAILD, Rival, master_pid
from benchmarks.samples import Rows, table
from benchmarks.site import POOL_SIZE, Site, Vmaild
from benchmarks.smtp import rcpt_load
from vmaild.config.maps import Common, read_maps
from vmaild.config.section import Problems
from vmaild.demo.postfix import Postfix
from vmaild.demo.tree import READER_DN, READER_PW, SEARCH_BASE
from vmaild.directory import DirectorySettings, Pool
from vmaild.lookup import Search
from vmaild.tables import KeyLookup

CLIENTS = 16
"""Connections, lines and postmap processes: as many as a small Postfix has smtpd processes."""

LDAP = "ldap:"
ALONE = "the directory layer alone"

GOALS = (
    ("CPU of a miss over the search alone", "cpu", CLIENTS, VMAILD, ALONE, "cpu server", "at most 2.20"),
    ("misses a second through 16 postmap, over ldap:", "postmap", CLIENTS, VMAILD, LDAP, "rate", "at least 0.80"),
    ("misses a second through 1 postmap, over ldap:", "postmap", 1, VMAILD, LDAP, "rate", "at least 0.50"),
    ("RCPT TO, each once, 1 session, over ldap:", "rcpt", 1, VMAILD, LDAP, "rate", "at least 1.10"),
    ("RCPT TO, each once, 10 sessions, over ldap:", "rcpt", 10, VMAILD, LDAP, "rate", "at least 1.30"),
    ("RCPT TO, each once, 50 sessions, over ldap:", "rcpt", 50, VMAILD, LDAP, "rate", "at least 1.30"),
)
"""What is compared, where, who over whom, by which figure, and what is aimed at."""


def add_to(commands: Any) -> None:
    """Add the command and its options to the parser."""
    parser = commands.add_parser(
        "miss",
        help="answers that are not cached, beside ldap:",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    parser.add_argument("--accounts", type=int, default=100_000, help="size of the directory (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="(default: %(default)s)")
    parser.add_argument("--sessions", type=int, nargs="+", default=[1, 10, 50], help="SMTP sessions (default: 1 10 50)")
    parser.add_argument("--parts", nargs="+", choices=("cpu", "postmap", "rcpt"), default=["cpu", "postmap", "rcpt"])
    add_common(parser)


def run(arguments: argparse.Namespace) -> int:
    """Measure, print the table, write JSON and picture; returns the exit status."""
    return run_experiment(arguments, "miss", lambda: _measure(arguments), report, "draw_miss")


def _measure(arguments: argparse.Namespace) -> dict[str, Any]:
    rows = Rows()
    accounts = max(arguments.accounts, 3 * PER_DOMAIN)
    with Site(accounts, say) as site:
        misses = Misses(site, site.vmaild(), rows, arguments.seconds)
        for number in range(arguments.rounds):
            say(f"round {number + 1} of {arguments.rounds}")
            if "cpu" in arguments.parts:
                misses.cpu()
            if "postmap" in arguments.parts:
                for clients in (1, CLIENTS):
                    misses.postmap(clients)
            if "rcpt" in arguments.parts:
                for sessions in arguments.sessions:
                    misses.rcpt(sessions)
    return {"accounts": accounts, "rounds": arguments.rounds, "rows": rows.as_json()}


class Misses:
    """The measurements on one site."""

    def __init__(self, site: Site, vmaild: Vmaild, rows: Rows, seconds: float) -> None:
        self._site = site
        self._vmaild = vmaild
        self._rows = rows
        self._seconds = seconds
        self._tables = site.new_home("tables")
        ldap = Rival(LDAP, ldap_settings(self._tables, site.slapd.uri, proxy=False))
        self._rivals = (ldap, Rival(VMAILD, socketmap_settings(vmaild.socketmap), vmaild.pid))
        self._expected = {line.key: line.expected.value or b"" for line in mailboxes(site.accounts)}
        self._numbers = self._fresh()
        self._postmap_config = Postfix(site.new_home("postfix"), SETTINGS)
        site.closing(self._postmap_config.close)
        self._postmap_config.start()

    def _fresh(self) -> Iterator[int]:
        """Accounts in an order in which neighbours are of different domains; none comes twice in one pass."""
        step = 7919  # a prime, and so no divisor of the number of accounts
        for number in itertools.count():
            if number and number % self._site.accounts == 0:
                self._vmaild.flush()
            yield number * step % self._site.accounts

    def cpu(self) -> None:
        """A miss, and the search alone."""
        say("load: vmaild, all misses")
        self._vmaild.flush()
        times = ["--duration", str(self._seconds), "--warm-up", "0.5", "--connections", str(CLIENTS)]
        pids = {"server": self._vmaild.pid, "slapd": self._site.slapd.pid}
        figures = load(self._vmaild.socketmap, [*keys_of(self._site), *times, "--cold", "1"], pids)
        if figures["reused"]:
            raise MeasurementFailed("there are too few accounts: some were asked for twice")
        self._rows.add("cpu", VMAILD, CLIENTS, figures)
        say(f"searches: {ALONE}")
        self._rows.add("cpu", ALONE, CLIENTS, self._alone())

    def _alone(self) -> Figures:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(self._search_alone())

    async def _search_alone(self) -> Figures:
        settings = DirectorySettings(
            uri=(self._site.slapd.uri,), search_base=SEARCH_BASE, bind_dn=READER_DN, bind_pw=READER_PW,
            pool_size=POOL_SIZE,
        )  # fmt: skip
        pool = Pool(settings)
        await pool.start()
        while pool.status().servers[0].connections < POOL_SIZE:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
        # Worked out beforehand, since it is not what is measured.
        searches = [_search(pool, number) for number in itertools.islice(self._fresh(), 20_000)]
        turn = itertools.cycle(searches)
        count = 0
        end = time.monotonic() + self._seconds
        cpu, slapd = time.process_time(), family_cpu(self._site.slapd.pid)

        async def line() -> None:
            nonlocal count
            while time.monotonic() < end:
                if not await pool.search(next(turn)):
                    raise MeasurementFailed("an account was not found")
                count += 1

        began = time.monotonic()
        await asyncio.gather(*(line() for _ in range(CLIENTS)))
        took, cpu = time.monotonic() - began, time.process_time() - cpu
        slapd = family_cpu(self._site.slapd.pid) - slapd
        await pool.close()
        return {"rate": count / took, "cpu server": 1e3 * cpu / count, "cpu slapd": 1e3 * slapd / count}

    def postmap(self, clients: int) -> None:
        """Single lookups by Postfix's own client code."""
        for name, where in (
            (LDAP, ldap_table(self._tables, proxy=False)),
            (VMAILD, socketmap_table(self._vmaild.socketmap)),
        ):
            say(f"postmap -q -, {clients} clients: {name}")
            self._vmaild.flush()
            first = self._postmap(where, 500 * clients, clients)
            wanted = int(first["rate"] * self._seconds)
            self._vmaild.flush()
            before = family_cpu(self._vmaild.pid), family_cpu(self._site.slapd.pid)
            figures = self._postmap(where, min(wanted, self._site.accounts), clients)
            after = family_cpu(self._vmaild.pid), family_cpu(self._site.slapd.pid)
            asked = figures.pop("asked")
            server, slapd = (1e3 * (now - then) / asked for now, then in zip(after, before, strict=True))
            figures |= {"cpu slapd": slapd} | ({"cpu server": server} if name == VMAILD else {})
            self._rows.add("postmap", name, clients, figures)

    def _postmap(self, where: str, count: int, clients: int) -> Figures:
        keys = [address(number).encode() for number in itertools.islice(self._fresh(), count)]
        expected = {key: self._expected[key] for key in keys}
        result = run_postmap(self._postmap_config.config, where, keys, clients, expected)
        if result.wrong:
            raise MeasurementFailed(f"{where}: {result.wrong} of {result.asked} answers were wrong")
        return {
            "rate": result.asked / result.seconds,
            "client_cpu": 1e3 * result.cpu / result.asked,
            "asked": result.asked,
        }

    def rcpt(self, sessions: int) -> None:
        """RCPT TO, each recipient once."""
        for rival in self._rivals:
            say(f"RCPT TO, each once, sessions: {sessions}, {rival.name}")
            self._vmaild.flush()
            postfix = Postfix(self._site.new_home("postfix"), {**SETTINGS, **rival.settings})
            try:
                postfix.start()
                self._rows.add("rcpt", rival.name, sessions, self._rcpt(rival, postfix, sessions))
            finally:
                postfix.close()

    def _rcpt(self, rival: Rival, postfix: Postfix, sessions: int) -> Figures:
        pids = {"client": master_pid(postfix), "slapd": self._site.slapd.pid}
        if rival.server_pid:
            pids["server"] = rival.server_pid
        before: dict[str, float] = {}

        def started() -> None:
            before.update({name: family_cpu(pid) for name, pid in pids.items()})

        numbers = self._numbers
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            load = rcpt_load(postfix.port, sessions, 1.0, self._seconds, lambda: address(next(numbers)), started)
            result = runner.run(load)
        if result.refused or not result.accepted:
            raise MeasurementFailed(f"{rival.name}: Postfix refused recipients: {result.refused}")
        cpu = {name: 1e3 * (family_cpu(pid) - before[name]) / result.accepted for name, pid in pids.items()}
        figures = {"client_cpu": cpu.pop("client"), **{f"cpu {name}": used for name, used in cpu.items()}}
        figures |= {name: value for name, value in result.latency.summary().items() if name != "mean"}
        return {**figures, "rate": result.accepted / result.seconds}


def _search(pool: Pool, number: int) -> Search:
    """The search that a lookup of account ``number`` makes."""
    problems = Problems("miss")
    group = read_maps("courier", {}, Common(SEARCH_BASE, "+"), problems).groups[1]
    settled = KeyLookup(group, address(number), pool.schema).settle(0)
    assert isinstance(settled, Search)
    return settled


def report(result: dict[str, Any]) -> str:
    """The tables as Markdown."""
    rows = result["rows"]
    header = ["", "clients", "a second", "CPU: server", "slapd", "Postfix"]
    lines = [
        [
            f"{row['section']}: {row['name']}",
            str(row["clients"]),
            f"{row['figures']['rate']:,.0f}",
            *(
                milliseconds(row["figures"][name]) if name in row["figures"] else ""
                for name in ("cpu server", "cpu slapd", "client_cpu")
            ),
        ]
        for row in rows
    ]
    ratios = []
    for title, section, clients, name, base, figure, goal in GOALS:
        value = ratio(rows, section, clients, name, base, figure)
        if value is not None:
            ratios.append([title, f"{value:.2f}", goal])
    return f"{table(header, lines)}\n\n{table(['', 'measured', 'aim'], ratios)}"
