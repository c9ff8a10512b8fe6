"""How far one machine goes: one vmaild in front of one slapd with 10,000 to 1,000,000 accounts, 20 in each domain.

Each step once, in the order of an administrator's questions. How long until it answers, and until it knows all hosted
domains? How much memory? How many lookups a second, cached and not? What does a bulk change cost, heard while it is
made, or made while slapd was down? How long does an audit take? What does a message cost with a real Postfix?

A million accounts take 3 GB of disk, 4 GB of memory and a quarter of an hour. Needs slapd and ldap-utils, and for the
messages root, postfix and postfix-ldap.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

from benchmarks.experiments.experiment import Run
from benchmarks.load.questions import Expected, Line
from benchmarks.report.rows import Figures, Section
from benchmarks.site.clients import master_pid, send_messages
from benchmarks.site.population import MAILBOXES, address, bulk_address, dn, mailbox
from benchmarks.site.site import MeasurementFailed, Site, load, wait_until
from benchmarks.site.use import Meter, cpu_seconds, resident
from vmaild.demo.ask import ask
from vmaild.demo.mail import postfix
from vmaild.demo.postfix import check_postfix
from vmaild.demo.process import ProcessError, run
from vmaild.demo.slapd import SLAPD
from vmaild.lookup import Status

PER_DOMAIN = 20
BULK = 50_000
"""Entries of the bulk change, or half of them where there are fewer."""

WARM = 200_000
"""Addresses that are asked for before memory is looked at."""

HOT = 10_000
CONNECTIONS, MISS_CONNECTIONS = 50, 16
MOST_MISSES = 10_000
"""A second: no account is asked for twice while misses are measured."""

BESIDE = ["--rate", 1000, "--connections", CONNECTIONS, "--seconds", 3, "--warm-up", 0.5]
"""Cached lookups beside a bulk change, whose latencies tell how long the loop was held; the worst of all such loads."""

MESSAGES = 300
"""Each to another account, in a session of its own."""

SECTIONS = (
    Section("steps", "Step by step", "accounts", "bars", "time", ("p99", "max")),
    Section("hit", "Cached answers", "accounts", "lines"),
    Section("miss", "Every lookup a miss", "accounts", "lines"),
    Section("message", "A message", "accounts", ""),
)
OPTIONS = {"accounts": ([10_000, 100_000, 1_000_000], ""), "seconds": (5.0, "")}


def measure(run: Run) -> None:
    """All sizes."""
    for accounts in sorted(run.arguments.accounts):
        site = Site(accounts, run.say, bulk=MESSAGES, per_domain=PER_DOMAIN, syncprov=True)
        began = time.perf_counter()
        with site:
            _Trial(run, site, time.perf_counter() - began).all()


class _Trial:
    """One size."""

    def __init__(self, run: Run, site: Site, loaded: float) -> None:
        self._run, self._site, self._accounts = run, site, site.accounts
        self._seconds = min(run.arguments.seconds, site.accounts / MOST_MISSES)
        database = site.home / "slapd/data/data.mdb"
        self._row("load into slapd", loaded, {"disk": database.stat().st_blocks * 512})
        bulk = min(BULK, site.accounts // 2)
        self._changed = range(0, site.accounts, site.accounts // bulk)[:bulk]
        self._vmaild = site.vmaild(changes="sync", start=False)

    def all(self) -> None:
        """Every step."""
        for step in (self._start, self._misses, self._hits, self._bulk, self._missed, self._restart, self._audit):
            self._run.say(f"{self._accounts:,} accounts: {step.__name__.removeprefix('_')}")
            step()
        try:
            check_postfix()
        except ProcessError as error:
            self._run.say(f"no messages: {error}")
        else:
            self._messages()

    def _row(self, name: str, seconds: float, figures: Figures) -> None:
        self._run.rows.add("steps", name, self._accounts, {"time": 1e3 * seconds, **figures})

    def _use(self) -> Figures:
        return {"step cpu": 1e3 * cpu_seconds(self._vmaild.pid), "resident": resident(self._vmaild.pid)}

    def _start(self) -> None:
        first = _seconds(self._vmaild.start)
        self._row("first answer", first, {})
        known = wait_until(lambda: self._vmaild.metrics()["hosted_domains"] >= self._accounts // PER_DOMAIN, "domains")
        domains = self._vmaild.metrics()["hosted_domains"]
        self._row("all domains known", first + known, {"domains": domains, **self._use()})

    def _misses(self) -> None:
        numbers = range(self._accounts)[-60_000:]
        options = ["--cold", 1, "--connections", MISS_CONNECTIONS, "--seconds", self._seconds, "--warm-up", 0]
        figures = self._load(numbers, *options, slapd=self._site.slapd.pid)
        if figures["reused"]:
            raise MeasurementFailed("some accounts were asked for twice while misses were measured")
        self._run.rows.add("miss", "vmaild", self._accounts, figures)

    def _hits(self) -> None:
        numbers = range(min(WARM, self._accounts))
        once = ["--warm-keys", "--connections", MISS_CONNECTIONS, "--seconds", 0.2, "--warm-up", 0]
        filled = _seconds(lambda: self._load(numbers, *once))
        self._row("fill", filled, {"kept": self._vmaild.metrics()["cache_records"], **self._use()})
        # Those asked for last are in the cache, however large it is.
        options = ["--warm-keys", "--connections", CONNECTIONS, "--seconds", self._run.arguments.seconds]
        figures = self._load(numbers[-HOT:], *options, slapd=self._site.slapd.pid)
        self._run.rows.add("hit", "vmaild", self._accounts, figures)

    def _bulk(self) -> None:
        """By ldapmodify(1) on one connection."""
        changes = "".join(self._changes("-moved/"))
        self._beside("bulk change", lambda: self._site.slapd.modify(changes))
        last = self._changed[-1]
        seen = _seconds(lambda: wait_until(lambda: not self._outdated(last, "-moved/"), "the last change", 0.001))
        self._row("bulk change, the last one seen", seen, {})
        self._count_outdated("bulk change", "-moved/")

    def _missed(self) -> None:
        """The same entries changed back by slapmodify(8) while slapd is down."""
        file, slapd = self._site.write("changes", (line.encode() for line in self._changes("/"))), self._site.slapd
        slapd.stop()
        run([SLAPD, "-Tm", "-q", "-w", "-f", str(slapd.home / "slapd.conf"), "-l", str(file)])
        self._row("missed change, slapd back", _seconds(slapd.start), {})
        self._beside("missed change", lambda: self._vmaild.await_mode("sync"))
        self._count_outdated("missed change", "/")

    def _restart(self) -> None:
        self._vmaild.stop()
        size = (self._vmaild.home / "state/snapshot").stat().st_size
        self._row("restart with a snapshot", _seconds(self._vmaild.start), {"disk": size, **self._use()})

    def _audit(self) -> None:
        command = [sys.executable, "-m", "vmaild", "audit", "--json", "-c", str(self._vmaild.configuration)]
        began = time.perf_counter()
        with (self._site.home / "audit.json").open("wb") as file:
            process = subprocess.Popen(command, stdout=file)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in (0, 1):
            raise MeasurementFailed(f"the audit ended with {process.returncode}")
        figures = {"step cpu": 1e3 * (used.ru_utime + used.ru_stime), "most": 1024 * used.ru_maxrss}
        self._row("audit", time.perf_counter() - began, figures)

    def _messages(self) -> None:
        self._run.say(f"{self._accounts:,} accounts: messages")
        home, site = self._site.new_home("mail"), self._site
        home.mkdir()
        mail = postfix(home, site.slapd, int(self._vmaild.socketmap.rpartition(":")[2]))
        for map_name in ("virtual_mailbox_maps", "virtual_alias_maps"):
            site.warm(self._vmaild, "--map", map_name, "--keys", site.bulk_addresses)
        try:
            mail.start()
            before = self._vmaild.metrics()["lookups_total"]
            pids = {"server": self._vmaild.pid, "slapd": site.slapd.pid, "postfix": master_pid(mail)}
            meter = Meter(pids)
            send_messages(mail, bulk_address(1).removeprefix("1"), MESSAGES)
            lookups = (self._vmaild.metrics()["lookups_total"] - before) / MESSAGES
            figures = {"lookups a message": lookups, **meter.each(MESSAGES)}
        finally:
            mail.close()
        self._run.rows.add("message", "vmaild", self._accounts, figures)

    def _load(self, numbers: Iterable[int], *options: object, **pids: int) -> Figures:
        lines = (_line(number, "/") for number in numbers)
        keys = self._site.write_expected("asked", lines)
        pids["server"] = self._vmaild.pid
        return load(self._vmaild.socketmap, ["--keys", keys, "--expect", keys, *options], pids)

    def _beside(self, name: str, work: Callable[[], object]) -> None:
        """Cached lookups until the work is done: of accounts that the bulk change leaves alone."""
        others = [number for number in range(min(WARM, self._accounts)) if number not in self._changed][-1000:]
        before, cpu = self._vmaild.metrics(), self._use()["step cpu"]
        hits: Figures = {"p99": 0.0, "max": 0.0}
        with ThreadPoolExecutor(1) as thread:
            working = thread.submit(_seconds, work)
            while not working.done():
                figures = self._load(others, *BESIDE)
                hits = {figure: max(worst, figures[figure]) for figure, worst in hits.items()}
        used, changed = self._use(), self._vmaild.metrics()
        changed.subtract(before)
        counts = {"heard": "changes_heard_total", "dropped": "cache_dropped_total", "searches": "ldap_searches_total"}
        figures = {figure: changed[metric] for figure, metric in counts.items()}
        self._row(name, working.result(), {**hits, **figures, **used, "step cpu": used["step cpu"] - cpu})

    def _changes(self, end: str) -> Iterator[str]:
        for number in self._changed:
            change = f"changetype: modify\nreplace: mailbox\nmailbox: {_mailbox(number, end)}"
            yield f"dn: {dn(number, PER_DOMAIN)}\n{change}\n\n"

    def _outdated(self, number: int, end: str) -> bool:
        reply = ask(self._vmaild.address, MAILBOXES.decode(), address(number, PER_DOMAIN))
        return reply.text.decode() != _mailbox(number, end)

    def _count_outdated(self, name: str, end: str) -> None:
        """Ask for every account that was changed. Raises ``MeasurementFailed`` when an answer is out of date."""
        with ThreadPoolExecutor(MISS_CONNECTIONS) as threads:
            wrong = sum(threads.map(lambda number: self._outdated(number, end), self._changed))
        self._run.notes.append(f"- {self._accounts:,} accounts, {name}: {wrong} answers out of date.")


def _line(number: int, end: str) -> Line:
    return Line(MAILBOXES, address(number, PER_DOMAIN).encode(), Expected(Status.FOUND, _mailbox(number, end).encode()))


def _mailbox(number: int, end: str) -> str:
    return mailbox(number, PER_DOMAIN).removesuffix("/") + end


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
