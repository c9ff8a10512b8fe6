"""One vmaild in front of one slapd with many accounts: each figure once, in the order of an administrator's questions.

How long until it answers, and until it knows all hosted domains? How much memory? How many lookups a second, cached
and not? What does a bulk change cost, heard while it is made, or made while vmaild heard nothing? How long does an
audit take? Everything is on loopback below one directory, and gone afterwards.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.scale.client import Asked, Question, ask
from benchmarks.scale.message import measure
from benchmarks.scale.process import cpu_seconds, metrics, resident, run
from benchmarks.scale.tree import ACCESS, address, changed, mailbox, write_changes, write_ldif
from vmaild.demo.ask import ask as ask_once
from vmaild.demo.daemon import DaemonProcess, Listen
from vmaild.demo.postfix import check_postfix
from vmaild.demo.process import ProcessError
from vmaild.demo.slapd import SLAPD, Slapd, free_port

Figures = dict[str, float]

BULK = 50_000
"""Entries of the bulk change, or half of them where there are fewer."""

HOT = 10_000
WARM = 200_000
"""Addresses that are asked for before memory is looked at."""

CONNECTIONS, MISS_CONNECTIONS = 50, 16
LOAD_RATE = 1000.0
"""Cached lookups a second beside the bulk change, whose latencies tell how long the loop was held."""

MESSAGES = 300
"""Each to another account."""

PATIENCE = 600.0


class Trial:
    """``accounts`` accounts below ``home``; ``figures`` fills up as the steps are taken in their order."""

    def __init__(self, accounts: int, home: Path, say: Callable[[str], None]) -> None:
        self.accounts = accounts
        self.home = home
        self.figures: Figures = {"accounts": accounts}
        self._say = say
        self._bulk = min(BULK, accounts // 2)
        self._changed = frozenset(changed(accounts, self._bulk))
        self._moved = False
        self._http = f"127.0.0.1:{free_port()}"
        self._port = free_port()
        (home / "state").mkdir(parents=True)
        self._content = home / "content.ldif"
        self._changes = home / "changes.ldif"
        # The suffix's contextCSN, by which vmaild hears of changes, comes from syncprov.
        self.slapd = Slapd(home / "slapd", ldif=self._content, access=ACCESS, syncprov=True, port=free_port())
        self.daemon = self._new_daemon()

    def all(self) -> Figures:
        """Every step."""
        try:
            for step in (
                self.load,
                self.start,
                self.misses,
                self.warm,
                self.bulk_heard,
                self.bulk_missed,
                self.restart,
                self.audit,
                self.mail,
            ):
                self._say(f"{self.accounts:,} accounts: {step.__name__.replace('_', ' ')}")
                step()
        finally:
            self.daemon.stop()
            self.slapd.close()
        return self.figures

    def load(self) -> None:
        """The tree into slapd, by slapadd(8)."""
        write_ldif(self._content, self.accounts)
        self.figures["LDIF MB"] = self._content.stat().st_size / 1e6
        began = time.perf_counter()
        self.slapd.start()
        self.figures["load into slapd s"] = time.perf_counter() - began
        self.figures["database MB"] = (self.home / "slapd/data/data.mdb").stat().st_blocks * 512 / 1e6
        self._content.unlink()

    def start(self) -> None:
        """vmaild, until the first answer, and until it has the set of domains."""
        began = time.perf_counter()
        self.daemon.start()
        self.figures["first answer s"] = time.perf_counter() - began
        self._until(lambda: self._metrics().get("vmaild_hosted_domains", 0) >= self.accounts // 20)
        self.figures["all domains known s"] = time.perf_counter() - began
        self.figures["start CPU s"] = cpu_seconds(self.daemon.pid)
        self.figures["domains"] = self._metrics()["vmaild_hosted_domains"]
        self.figures["memory at start MB"] = resident(self.daemon.pid) / 1e6

    def misses(self) -> None:
        """Lookups of addresses that nobody asked for before."""
        numbers = range(self.accounts - 1, max(-1, self.accounts - 60_001), -1)
        self._measured("miss", numbers, MISS_CONNECTIONS, 5.0)

    def warm(self) -> None:
        """Cached lookups, and memory with ``WARM`` addresses in the cache."""
        asked = self._ask(range(min(WARM, self.accounts)), MISS_CONNECTIONS, PATIENCE)
        self.figures["fill s"] = asked.seconds
        self.figures["records"] = self._metrics()["vmaild_cache_records"]
        self.figures["memory warm MB"] = resident(self.daemon.pid) / 1e6
        # Those asked for last are in the cache, however large it is.
        first = max(0, min(WARM, self.accounts) - HOT)
        numbers = list(range(first, first + HOT)) * 30
        self._ask(numbers[:HOT], MISS_CONNECTIONS, PATIENCE)
        self._measured("hit", numbers, CONNECTIONS, 5.0)

    def bulk_heard(self) -> None:
        """A bulk change by ldapmodify(1) on one connection, while cached lookups go on."""
        write_changes(self._changes, self.accounts, self._bulk)
        before, cpu = self._metrics(), cpu_seconds(self.daemon.pid)
        command = ["ldapmodify", "-x", "-H", self.slapd.uri, "-D", self.slapd.root_dn, "-w", self.slapd.root_pw]
        self._moved = True
        with ThreadPoolExecutor(1) as thread:
            change = thread.submit(run, [*command, "-f", str(self._changes)], self.home / "ldapmodify.log")
            asked = self._beside(change.done)
            ran = change.result()
        assert ran.status == 0, (self.home / "ldapmodify.log").read_text()[-500:]
        self.figures["bulk, seen after s"] = self._seen()
        self.figures["bulk s"] = ran.seconds
        self._counted("bulk", before, cpu, asked)
        self._all_right("bulk")

    def bulk_missed(self) -> None:
        """The same number changed back by slapmodify(8) while slapd is down: vmaild hears what went on meanwhile."""
        text = self._changes.read_text().replace("-moved/", "/")
        self._changes.write_text(text)
        before = self._metrics()
        self.slapd.stop()
        conf = str(self.home / "slapd/slapd.conf")
        ran = run([SLAPD, "-Tm", "-q", "-w", "-f", conf, "-l", str(self._changes)], self.home / "slapmodify.log")
        assert ran.status == 0, (self.home / "slapmodify.log").read_text()[-500:]
        cpu = cpu_seconds(self.daemon.pid)
        began = time.perf_counter()
        self.slapd.start()
        back = time.perf_counter()
        self._moved = False
        with ThreadPoolExecutor(1) as thread:
            heard = thread.submit(self._until, self._hears)
            asked = self._beside(heard.done)
            heard.result()
        self.figures["missed, slapd back after s"] = back - began
        self.figures["missed, all heard after s"] = time.perf_counter() - back
        self._counted("missed", before, cpu, asked)
        self._all_right("missed")

    def restart(self) -> None:
        """vmaild again, with its snapshot."""
        self.daemon.stop()
        files = [file for file in (self.home / "state").iterdir() if file.is_file()]
        self.figures["snapshot MB"] = sum(file.stat().st_size for file in files) / 1e6
        began = time.perf_counter()
        self.daemon.start()
        self.figures["restart, first answer s"] = time.perf_counter() - began
        self.figures["restart, memory MB"] = resident(self.daemon.pid) / 1e6

    def audit(self) -> None:
        """``vmaild audit``."""
        command = [sys.executable, "-m", "vmaild", "audit", "--json", "-c", str(self.home / "vmaild.toml")]
        ran = run(command, self.home / "audit.json")
        text = (self.home / "audit.json").read_text()
        assert ran.status in (0, 1), text[-500:]
        self.figures["audit, entries"] = json.loads(text)["entries"]
        self.figures |= {"audit s": ran.seconds, "audit CPU s": ran.cpu, "audit memory MB": ran.memory / 1e6}

    def mail(self) -> None:
        """What a message to an account in the cache costs; left out where no Postfix can run."""
        try:
            check_postfix()
        except ProcessError as error:
            self._say(f"no messages: {error}")
            return
        numbers = range(MESSAGES)
        self._ask(numbers, MISS_CONNECTIONS, PATIENCE)
        self.home.chmod(0o755)
        where = self._port, self.daemon.pid
        recipients = map(address, numbers)
        self.figures |= measure(
            self.home, self.slapd, where, recipients, lambda: self._metrics()["vmaild_lookups_total"]
        )

    def _new_daemon(self) -> DaemonProcess:
        os.environ["STATE_DIRECTORY"] = str(self.home / "state")
        listens = [Listen(f"inet:127.0.0.1:{self._port}")]
        tables = f'[http]\naddress = "inet:{self._http}"\n'
        directory = "pool_size = 8\nmax_waiting = 10000\n"
        return DaemonProcess(self.home, [self.slapd.uri], listens, directory=directory, tables=tables)

    def _questions(self, numbers: Iterable[int]) -> Iterator[Question]:
        for number in numbers:
            yield address(number), mailbox(number, moved=self._moved and number in self._changed)

    def _ask(self, numbers: Iterable[int], connections: int, seconds: float) -> Asked:
        asked = self._asked(numbers, connections, seconds)
        assert not asked.wrong, f"{asked.wrong} wrong answers: {asked.example}"
        return asked

    def _asked(self, numbers: Iterable[int], connections: int, seconds: float, rate: float = 0.0) -> Asked:
        return ask(("127.0.0.1", self._port), self._questions(numbers), connections, seconds, rate)

    def _measured(self, what: str, numbers: range | list[int], connections: int, seconds: float) -> None:
        before = cpu_seconds(self.daemon.pid), cpu_seconds(self.slapd.pid)
        asked = self._ask(numbers, connections, seconds)
        cpu, slapd = cpu_seconds(self.daemon.pid) - before[0], cpu_seconds(self.slapd.pid) - before[1]
        count = len(asked.latencies)
        self.figures |= {
            f"{what} rate": asked.rate,
            f"{what} p99 ms": asked.percentile(0.99),
            f"{what} CPU us": cpu / count * 1e6,
            f"{what} slapd CPU us": slapd / count * 1e6,
        }

    def _beside(self, done: Callable[[], bool]) -> Asked:
        """Cached lookups at ``LOAD_RATE`` until it is done: of accounts that the bulk change leaves alone."""
        others = [number for number in range(min(WARM, self.accounts)) if number not in self._changed][-1000:]

        def numbers() -> Iterator[int]:
            while not done():
                yield from others

        return self._asked(numbers(), CONNECTIONS, PATIENCE, LOAD_RATE)

    def _counted(self, what: str, before: Figures, cpu: float, asked: Asked) -> None:
        after = self._metrics()
        self.figures |= {
            f"{what}, changes heard": after["vmaild_changes_heard_total"] - before["vmaild_changes_heard_total"],
            f"{what}, records dropped": after["vmaild_cache_dropped_total"] - before["vmaild_cache_dropped_total"],
            f"{what}, searches": after["vmaild_ldap_searches_total"] - before["vmaild_ldap_searches_total"],
            f"{what}, CPU s": cpu_seconds(self.daemon.pid) - cpu,
            f"{what}, hits p99 ms": asked.percentile(0.99),
            f"{what}, hits longest ms": asked.percentile(1.0),
            f"{what}, memory MB": resident(self.daemon.pid) / 1e6,
        }
        assert not asked.wrong, f"{asked.wrong} wrong answers: {asked.example}"

    def _all_right(self, what: str) -> None:
        """Ask for every account that was changed: how many answers are not those of now."""
        asked = self._asked(sorted(self._changed), MISS_CONNECTIONS, PATIENCE)
        self.figures[f"{what}, answers out of date"] = asked.wrong

    def _hears(self) -> bool:
        """Whether changes are heard, and all that was missed has been."""
        return self._metrics().get('vmaild_changes_mode{mode="sync"}', 0.0) > 0.0

    def _seen(self) -> float:
        """Seconds until the account that is changed last is answered as it is now."""
        last = changed(self.accounts, self._bulk)[-1]
        wanted = mailbox(last, moved=self._moved).encode()
        began = time.perf_counter()
        self._until(lambda: ask_once(self.daemon.address, "virtual_mailbox_maps", address(last)).text == wanted)
        return time.perf_counter() - began

    def _metrics(self) -> Figures:
        return metrics(f"http://{self._http}/metrics")

    def _until(self, happens: Callable[[], bool]) -> None:
        give_up = time.monotonic() + PATIENCE
        while not happens():
            if time.monotonic() > give_up:
                raise AssertionError("it never happened")
            time.sleep(0.02)
