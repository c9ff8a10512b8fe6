"""How far one machine goes: one vmaild in front of one slapd with 10,000 to 1,000,000 accounts, 20 in each domain."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

from psutil import Process

from benchmarks.experiments.experiment import Run
from benchmarks.load.questions import format_line
from benchmarks.report.rows import Figures, Section
from benchmarks.site.clients import send_messages
from benchmarks.site.population import BULK_ADDRESS, MAILBOXES, address, dn, found, mailbox
from benchmarks.site.site import ONCE, MeasurementFailed, Site, seconds_of, wait_until
from benchmarks.site.use import Meter, resident
from vmaild.demo.ask import ask
from vmaild.demo.mail import postfix
from vmaild.demo.postfix import check_postfix
from vmaild.demo.process import ProcessError, run
from vmaild.demo.slapd import SLAPD

PER_DOMAIN = 20
BULK = 50_000
"""Entries of the bulk change, or half of them where there are fewer."""
WARM, HOT = 200_000, 10_000
"""Addresses that are asked for before memory is looked at, and those that are asked again and again."""
MOST_MISSES = 10_000
"""A second: no account is asked for twice while misses are measured."""
BESIDE = ["--rate", 1000, "--connections", 50, "--seconds", 3, "--warm-up", 0.5]
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
    for accounts in sorted(run.arguments.accounts):
        with Site(accounts, run.say, bulk=MESSAGES, per_domain=PER_DOMAIN, syncprov=True) as site:
            trial = _Trial(run, site)
            trial.row("load into slapd", site.loaded, disk=(site.home / "slapd/data/data.mdb").stat().st_blocks * 512)
            for step in ("start", "misses", "hits", "bulk", "missed", "restart", "audit", "messages"):
                run.say(f"{accounts:,} accounts: {step}")
                getattr(trial, step)()


class _Trial:
    """The steps of one size."""

    def __init__(self, run: Run, site: Site) -> None:
        self._run, self._site, self._accounts = run, site, site.accounts
        bulk = min(BULK, site.accounts // 2)
        self._changed = range(0, site.accounts, site.accounts // bulk)[:bulk]
        self._vmaild = site.vmaild(changes="sync", start=False)

    def row(self, name: str, seconds: float, **figures: float) -> None:
        self._run.rows.add("steps", name, self._accounts, {"time": 1e3 * seconds, **figures})

    def start(self) -> None:
        first = seconds_of(self._vmaild.start)
        self.row("first answer", first)
        known = wait_until(lambda: self._vmaild.metrics()["hosted_domains"] >= self._accounts // PER_DOMAIN, "domains")
        self.row("all domains known", first + known, domains=self._vmaild.metrics()["hosted_domains"], **self._use())

    def misses(self) -> None:
        seconds = min(self._run.arguments.seconds, self._accounts / MOST_MISSES)
        options = ["--cold", 1, "--connections", 16, "--seconds", seconds, "--warm-up", 0]
        figures = self._load(range(self._accounts)[-60_000:], *options)
        if figures["reused"]:
            raise MeasurementFailed("some accounts were asked for twice while misses were measured")
        self._run.rows.add("miss", "vmaild", self._accounts, figures)

    def hits(self) -> None:
        numbers = range(min(WARM, self._accounts))
        filled = seconds_of(lambda: self._load(numbers, *ONCE))
        self.row("fill", filled, kept=self._vmaild.metrics()["cache_records"], **self._use())
        # Those asked for last are in the cache, however large it is.
        options = ["--warm-keys", "--connections", 50, "--seconds", self._run.arguments.seconds]
        self._run.rows.add("hit", "vmaild", self._accounts, self._load(numbers[-HOT:], *options))

    def bulk(self) -> None:
        """By ldapmodify(1) on one connection."""
        changes, last = self._changes("-moved/"), self._changed[-1]
        self._beside("bulk change", lambda: self._site.slapd.modify(changes))
        seen = wait_until(lambda: not self._outdated(last, "-moved/"), "the last change", 0.001)
        self.row("bulk change, the last one seen", seen)
        self._note_outdated("bulk change", "-moved/")

    def missed(self) -> None:
        """The same entries changed back by slapmodify(8) while slapd is down."""
        file, slapd = self._site.write("changes", [self._changes("/").encode()]), self._site.slapd
        slapd.stop()
        run([SLAPD, "-Tm", "-q", "-w", "-f", str(slapd.home / "slapd.conf"), "-l", str(file)])
        self.row("missed change, slapd back", seconds_of(slapd.start))
        self._beside("missed change", lambda: self._vmaild.await_mode("sync"))
        self._note_outdated("missed change", "/")

    def restart(self) -> None:
        self._vmaild.stop()
        size = (self._vmaild.home / "state/snapshot").stat().st_size
        self.row("restart with a snapshot", seconds_of(self._vmaild.start), disk=size, **self._use())

    def audit(self) -> None:
        command = [sys.executable, "-m", "vmaild", "audit", "--json", "-c", str(self._vmaild.configuration)]
        began = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in (0, 1):
            raise MeasurementFailed(f"the audit ended with {process.returncode}")
        figures = {"cpu in all": 1e3 * (used.ru_utime + used.ru_stime), "most": 1024 * used.ru_maxrss}
        self.row("audit", time.perf_counter() - began, **figures)

    def messages(self) -> None:
        """Left out where no Postfix can run."""
        site, vmaild, home = self._site, self._vmaild, self._site.new_home("mail")
        try:
            check_postfix()
        except ProcessError as error:
            self._run.say(f"no messages: {error}")
            return
        home.mkdir()
        site.warm_bulk(vmaild)
        with closing(postfix(home, site.slapd, int(vmaild.socketmap.rpartition(":")[2]))) as mail:
            mail.start()
            before = vmaild.metrics()["lookups_total"]
            meter = Meter({"server": vmaild.pid, "slapd": site.slapd.pid, "postfix": mail.pid})
            send_messages(mail, BULK_ADDRESS, MESSAGES)
            figures = meter.each(MESSAGES)
        figures["lookups a message"] = (vmaild.metrics()["lookups_total"] - before) / MESSAGES
        self._run.rows.add("message", "vmaild", self._accounts, figures)

    def _use(self) -> Figures:
        # Its own CPU, without the watchdog's process.
        cpu = sum(Process(self._vmaild.pid).cpu_times()[:2])
        return {"cpu in all": 1e3 * cpu, "resident": resident(self._vmaild.pid)}

    def _load(self, numbers: Iterable[int], *options: object) -> Figures:
        lines = (found(MAILBOXES, address(each, PER_DOMAIN), _mailbox(each, "/")) for each in numbers)
        keys = self._site.write("asked", map(format_line, lines))
        return self._site.load(self._vmaild, "--keys", keys, "--expect", keys, *options)

    def _beside(self, name: str, work: Callable[[], object]) -> None:
        """Cached lookups until the work is done: of accounts that the bulk change leaves alone."""
        others = [number for number in range(min(WARM, self._accounts)) if number not in self._changed][-1000:]
        before, use, hits = self._vmaild.metrics(), self._use(), {"p99": 0.0, "max": 0.0}
        with ThreadPoolExecutor(1) as thread:
            working = thread.submit(seconds_of, work)
            while not working.done():
                figures = self._load(others, *BESIDE)
                hits = {figure: max(worst, figures[figure]) for figure, worst in hits.items()}
        used, changed = self._use(), self._vmaild.metrics()
        changed.subtract(before)
        used["cpu in all"] -= use["cpu in all"]
        counts = {"heard": "changes_heard_total", "dropped": "cache_dropped_total", "searches": "ldap_searches_total"}
        figures = {figure: changed[metric] for figure, metric in counts.items()}
        self.row(name, working.result(), **hits, **figures, **used)

    def _changes(self, end: str) -> str:
        change = "changetype: modify\nreplace: mailbox\nmailbox"
        return "".join(f"dn: {dn(each, PER_DOMAIN)}\n{change}: {_mailbox(each, end)}\n\n" for each in self._changed)

    def _outdated(self, number: int, end: str) -> bool:
        reply = ask(self._vmaild.address, MAILBOXES.decode(), address(number, PER_DOMAIN))
        return reply.text.decode() != _mailbox(number, end)

    def _note_outdated(self, name: str, end: str) -> None:
        """Ask for every account that was changed."""
        with ThreadPoolExecutor(16) as threads:
            wrong = sum(threads.map(lambda number: self._outdated(number, end), self._changed))
        self._run.notes.append(f"- {self._accounts:,} accounts, {name}: {wrong} answers out of date.")


def _mailbox(number: int, end: str) -> str:
    return mailbox(number, PER_DOMAIN).removesuffix("/") + end
