"""What a half-loaded replica, one that lags, and an access rule do to answers: ``python -m tests.e2e.replicas CASE``.

A provider with domains that have catch-alls, consumers behind a proxy that can slow their syncrepl, and a real daemon
that is asked all the time. An oracle knows the right answers: a *wrong NOTFOUND* bounces mail, a *wrong found* delivers
it to somebody else (the account is not loaded yet, its catch-all is). Keys are *known* (asked and answered before) or
were *never asked*.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import random
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.site.population import ALIASES, DOMAINS, MAILBOXES, PER_DOMAIN, address, alias, domain_of, ldif, mailbox
from tests.directory.proxy import Mode, Proxy
from tests.soak.oracle import Question, alias_entry
from tests.support import ldap_client
from vmaild import admin
from vmaild.demo.daemon import CONTROL_SOCKET, DaemonProcess, Listen
from vmaild.demo.process import run
from vmaild.demo.slapd import Slapd, free_port
from vmaild.demo.tree import BASE, READER_DN, READER_PW, SEARCH_BASE
from vmaild.directory.replica_state import LAG
from vmaild.lookup import Reply, Status
from vmaild.wire.socketmap import SocketmapReplies

KNOWN = 0.2
"""Share of the accounts that are asked for before anything happens."""

ELSEWHERE = "everybody@elsewhere.example"
"""Where the catch-alls go."""

CONFIG_PW = "config"
PATIENCE = 40.0


class Throttle(Proxy):
    """A proxy that lets through ``rate`` bytes of the server's a second; None for all."""

    rate: float | None = None

    def _forward(self, sink: socket.socket, data: bytes, mode: Mode) -> bytes:
        rate = self.rate
        if rate is None or mode is not Mode.PASS:
            return super()._forward(sink, data, mode)
        part = data[: max(1, int(rate / 20))]
        sink.sendall(part)
        time.sleep(len(part) / rate)
        return data[len(part) :]


class Client:
    """One connection to the daemon, one question at a time."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self._replies = SocketmapReplies()

    def ask(self, question: Question) -> Reply:
        """The reply."""
        self._socket.sendall(question.wire)
        while (reply := self._replies.next()) is None:
            data = self._socket.recv(65536)
            if not data:
                raise ConnectionError("closed by the daemon")
            self._replies.feed(data)
        return reply

    def close(self) -> None:
        """Close it."""
        self._socket.close()


def content(accounts: int) -> Iterator[str]:
    """The population with a catch-all in each domain, which a refresh brings before the accounts."""
    for entry in ldif(accounts):
        if entry.startswith("dn: o=host"):
            organization, rest = entry.split("\n\n", 1)
            domain = organization.split(",", 1)[0].removeprefix("dn: o=")
            yield f"{organization}\n\n{alias_entry(f'@{domain}', [ELSEWHERE])}{rest}"
        else:
            yield entry


def questions(number: int) -> list[Question]:
    """What is right of one account."""
    found = [
        Question(MAILBOXES, address(number).encode(), Status.FOUND, mailbox(number).encode()),
        Question(ALIASES, address(number).encode(), Status.NOT_FOUND),
    ]
    if number % 10 == 0:
        found.append(Question(ALIASES, alias(number).encode(), Status.FOUND, address(number).encode()))
    if number % PER_DOMAIN == 0:
        name = domain_of(number).encode()
        found.append(Question(DOMAINS, name, Status.FOUND, name))
    return found


class Oracle:
    """Asks in a thread until it is stopped, ``rate`` questions a second; ``counts`` by (known?, what came of it)."""

    def __init__(self, port: int, known: list[Question], never: list[Question], rate: float = 150.0) -> None:
        self._client = Client(port)
        self._known = known
        self._never = never
        self._rate = rate
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.counts: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
        self.examples: list[str] = []
        self.began = time.monotonic()
        self.last_wrong = 0.0

    def __enter__(self) -> Oracle:
        self.began = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._client.close()

    def wrong(self, *, known: bool) -> int:
        """Wrong answers so far."""
        return sum(count for name, count in self.counts[known].items() if name.startswith("wrong"))

    def row(self) -> str:
        """The figures as a row of a table."""
        cells = []
        for known in (True, False):
            counts = self.counts[known]
            cells.append(f"{counts.total()}")
            cells += [f"{counts[name]}" for name in ("wrong NOTFOUND", "wrong found", "TEMP")]
        last = f"{self.last_wrong - self.began:.1f}" if self.last_wrong else "-"
        return " | ".join([*cells, last])

    def _run(self) -> None:
        rng = random.Random(1)
        while not self._stop.is_set():
            known = bool(self._known) and (not self._never or rng.random() < 0.7)
            question = rng.choice(self._known) if known else self._never.pop(rng.randrange(len(self._never)))
            self._judge(question, self._client.ask(question), known)
            time.sleep(1 / self._rate)

    def _judge(self, question: Question, reply: Reply, known: bool) -> None:
        what = "right"
        if reply.status is Status.TEMPORARY:
            what = "TEMP"
        elif problem := question.wrong(reply):
            what = "wrong NOTFOUND" if reply.status is Status.NOT_FOUND else "wrong found"
            self.last_wrong = time.monotonic()
            if len(self.examples) < 20:
                at = self.last_wrong - self.began
                self.examples.append(f"{at:.2f} s, {'known' if known else 'never asked'}: {problem}")
        self.counts[known][what] += 1


HEAD = (
    "| case | known: asked | wrong NOTFOUND | wrong found | TEMP | never asked: asked | wrong NOTFOUND | wrong found"
    " | TEMP | last wrong, s |\n|---|---|---|---|---|---|---|---|---|---|"
)


class Site:
    """A provider, consumers, and the daemon in front of them; ``accounts`` are in the directory."""

    def __init__(self, home: Path, accounts: int, stack: contextlib.ExitStack) -> None:
        self.home = home
        self.accounts = accounts
        self._stack = stack
        file = home / "content.ldif"
        with file.open("w") as out:
            out.writelines(content(accounts))
        config = [
            "serverID 1",
            "sizelimit unlimited",
            "database config",
            f"rootpw {CONFIG_PW}",
        ]
        self.provider = stack.enter_context(Slapd(home / "provider", ldif=file, syncprov=True, config=config))
        rng = random.Random(2)
        numbers = list(range(accounts))
        rng.shuffle(numbers)
        known = numbers[: int(accounts * KNOWN)]
        self.known = [one for number in known for one in questions(number)]
        self.known += [one for number in range(0, accounts, PER_DOMAIN) for one in questions(number)[-1:]]
        self.never = [one for number in numbers[len(known) :] for one in questions(number) if one.map_name != DOMAINS]

    def consumer(self, name: str, rid: int) -> Consumer:
        """A consumer of the provider, running and loaded."""
        return self._stack.enter_context(contextlib.closing(Consumer(self.home / name, self.provider, rid)))

    def daemon(self, uris: list[str], changes: str, more: str = "", tables: str = "") -> DaemonProcess:
        """The daemon, which has answered every known question."""
        daemon = self.new_daemon(uris, changes, more, tables)
        daemon.start()
        mode = {"auto": "sync"}.get(changes, changes)
        wait(lambda: stats(daemon)["changes"]["mode"] == mode and "hosted_domains" in stats(daemon)["changes"], 30)
        client = Client(daemon.address.port)
        for question in self.known:
            reply = client.ask(question)
            assert not question.wrong(reply), question.wrong(reply)
            assert reply.status is not Status.TEMPORARY
        client.close()
        return daemon

    def new_daemon(self, uris: list[str], changes: str, more: str = "", tables: str = "") -> DaemonProcess:
        """One that is not started yet."""
        home = self.home / f"vmaild-{time.monotonic_ns()}"
        home.mkdir()
        directory = f'changes = "{changes}"\nfailback_after = 2\n{more}'
        listen = [Listen(f"inet:127.0.0.1:{free_port()}")]
        self._stack.callback((daemon := DaemonProcess(home, uris, listen, directory=directory, tables=tables)).stop)
        return daemon

    def oracle(self, daemon: DaemonProcess, rate: float = 150.0) -> Oracle:
        """One that asks all that is known and, once each, all that is not."""
        return Oracle(daemon.address.port, self.known, list(self.never), rate)


class Consumer:
    """A consumer whose syncrepl goes through ``proxy``."""

    def __init__(self, home: Path, provider: Slapd, rid: int) -> None:
        self.proxy = Throttle(("127.0.0.1", provider.port))
        self._provider = provider
        self.slapd = Slapd(
            home, syncprov=True, config=[f"serverID {rid}", "sizelimit unlimited"],
            database=[
                f'syncrepl rid={rid:03d} provider={self.proxy.uri} type=refreshAndPersist retry="1 +"'
                f' searchbase="{BASE}" bindmethod=simple binddn="{provider.root_dn}" credentials={provider.root_pw}',
                f"updateref {provider.uri}",
            ],
        )  # fmt: skip
        self.slapd.start()
        wait(self.loaded, 300)

    def loaded(self) -> bool:
        """Whether its first load is complete."""
        return context(self.slapd) == context(self._provider)

    def empty(self, rate: float) -> None:
        """Take its data away and have it load again, at ``rate`` bytes a second."""
        self.slapd.stop()
        shutil.rmtree(self.slapd.home / "data")
        self.proxy.rate = rate
        self.slapd.start()

    def close(self) -> None:
        """End it."""
        self.slapd.close()
        self.proxy.close()


def search(slapd: Slapd, base: str, *arguments: str) -> str:
    """What vmaild's account finds, as LDIF."""
    return ldap_client.search(slapd, READER_DN, READER_PW, base, *arguments)


def context(slapd: Slapd) -> list[str]:
    """The contextCSN of its suffix."""
    lines = search(slapd, BASE, "-s", "base", "contextCSN").splitlines()
    return sorted(line for line in lines if line.startswith("contextCSN"))


def wait(happens: Callable[[], bool], seconds: float) -> None:
    """Until it happens. Raises TimeoutError."""
    end = time.monotonic() + seconds
    while not happens():
        if time.monotonic() > end:
            raise TimeoutError("it did not happen")
        time.sleep(0.05)


def stats(daemon: DaemonProcess) -> dict[Any, Any]:
    """What the daemon counts."""
    return admin.stats(str(daemon.home / CONTROL_SOCKET))


# --- the cases --------------------------------------------------------------------------------------------------------


def half_loaded(site: Site, changes: str, *, other: bool, rate: float) -> Oracle:
    """The own consumer, first in the order, is emptied and loads for a while; lookups come all the time."""
    own = site.consumer(f"own-{time.monotonic_ns()}", 2)
    uris = [own.slapd.uri]
    if other:
        uris.append(site.consumer(f"other-{time.monotonic_ns()}", 3).slapd.uri)
    daemon = site.daemon([*uris, site.provider.uri], changes)
    with site.oracle(daemon) as oracle:
        time.sleep(0.5)
        own.empty(rate)
        wait(lambda: "dn: o=hosting" in search(own.slapd, SEARCH_BASE, "-s", "base", "o"), 30)
        partly = search(own.slapd, SEARCH_BASE, "(objectClass=organization)", "o").count("dn: ")
        assert partly, "there are domains in it"
        assert not own.loaded(), "the replica is half loaded while lookups come"
        wait(own.loaded, 300)
        # Lookups go back to it.
        time.sleep(3.5)
        servers = admin.ask(str(daemon.home / CONTROL_SOCKET), b"status")["status"]["servers"]
        assert servers[0]["up"], servers
    return oracle


def started(site: Site, changes: str, *, rate: float, more: str = "") -> Oracle:
    """The daemon is started for the first time while the own consumer, first in the order, is half loaded."""
    own = site.consumer(f"own-{time.monotonic_ns()}", 2)
    daemon = site.new_daemon([own.slapd.uri, site.provider.uri], changes, more)
    own.empty(rate)
    wait(lambda: "dn: o=host" in search(own.slapd, SEARCH_BASE, "(objectClass=organization)", "o"), 30)
    starting = threading.Thread(target=daemon.start, daemon=True)
    starting.start()
    with Oracle(_connected(daemon), [], site.never + site.known, 400.0) as oracle:
        time.sleep(4.0)
        assert not own.loaded(), "the replica is half loaded while lookups come"
    starting.join()
    return oracle


def _connected(daemon: DaemonProcess) -> int:
    """The port, as soon as somebody listens."""

    def listens() -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", daemon.address.port)):
            return True
        return False

    while not listens():
        time.sleep(0.001)
    return daemon.address.port


def hidden(site: Site, changes: str, what: str, *, canaries: bool, seconds: float) -> Oracle:
    """An access rule hides entries while the daemon runs: below each domain, the domains with what is below, half."""
    target = {
        "all": f'dn.regex="^.+,{SEARCH_BASE}$"',
        "domains": f'dn.regex="^o=[^,]+,{SEARCH_BASE}$"',
        "accounts": f'dn.regex="^mail=[^,]+,o=[^,]+,{SEARCH_BASE}$"',
    }[what]
    tables = ""
    if canaries:
        tables = "\n".join(
            f'[maps.{name}]\ncanary = "{key}"'
            for name, key in (
                ("virtual_mailbox_domains", domain_of(0)),
                ("virtual_mailbox_maps", address(0)),
                ("virtual_alias_maps", alias(0)),
            )
        )
    daemon = site.daemon([site.provider.uri], changes, tables=tables)
    with site.oracle(daemon) as oracle:
        time.sleep(0.5)
        _config(site.provider, f'add: olcAccess\nolcAccess: {{0}}to {target} by dn.exact="{READER_DN}" none by * break')
        try:
            time.sleep(seconds)
        finally:
            _config(site.provider, "delete: olcAccess\nolcAccess: {0}")
        time.sleep(2.0)
    return oracle


def _config(slapd: Slapd, change: str) -> None:
    record = f"dn: olcDatabase={{1}}mdb,cn=config\nchangetype: modify\n{change}\n"
    run(["ldapmodify", "-x", "-H", slapd.uri, "-D", "cn=config", "-w", CONFIG_PW], stdin=record)


def lagging(site: Site, changes: str, *, seconds: float) -> tuple[int, list[str]]:
    """The own consumer comes back without what happened in between: how many answers were seen, and those gone back."""
    own = site.consumer(f"own-{time.monotonic_ns()}", 2)
    daemon = site.daemon([own.slapd.uri, site.provider.uri], changes)
    client = Client(daemon.address.port)
    keys = [f"moving{number}@{domain_of(0)}" for number in range(10)]
    newest = dict.fromkeys(keys, 0)
    back: list[str] = []
    count = 0

    def look(until: float) -> None:
        nonlocal count
        while time.monotonic() < until:
            for key in keys:
                reply = client.ask(Question(ALIASES, key.encode(), Status.FOUND))
                count += 1
                if reply.status is Status.TEMPORARY:
                    continue
                value = reply.text.decode() if reply.status is Status.FOUND else ELSEWHERE
                version = 0 if value == ELSEWHERE else int(value.split("@")[0])
                if version < newest[key]:
                    back.append(f"{key}: {version} after {newest[key]}, {reply.status.name}")
                newest[key] = max(newest[key], version)
            time.sleep(0.01)

    def write(version: int) -> None:
        for key in keys:
            dn = f"mail={key},o={domain_of(0)},{SEARCH_BASE}"
            drop = f"{version}@x.example"
            if version == 1:
                site.provider.add(alias_entry(key, [drop]))
            else:
                site.provider.modify(f"dn: {dn}\nchangetype: modify\nreplace: maildrop\nmaildrop: {drop}\n")

    def shown(version: int) -> bool:
        look(time.monotonic() + 0.1)
        return set(newest.values()) == {version}

    look(time.monotonic() + 0.5)
    own.slapd.stop()
    own.proxy.refuse()
    write(1)
    write(2)
    look(time.monotonic() + LAG + 1.5)
    wait(lambda: shown(2), PATIENCE)
    own.slapd.start()
    look(time.monotonic() + seconds)
    write(3)
    wait(lambda: shown(3), PATIENCE)
    own.proxy.listen()
    wait(own.loaded, 60)
    look(time.monotonic() + 3.5)
    servers = admin.ask(str(daemon.home / CONTROL_SOCKET), b"status")["status"]["servers"]
    assert servers[0]["current"], "lookups went back to it once it had caught up"
    client.close()
    return count, back


CASES = ("half-loaded", "hidden", "lagging")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", choices=[[], *CASES], default=CASES)
    parser.add_argument("--accounts", type=int, default=20_000)
    parser.add_argument("--changes", nargs="*", default=["sync", "poll"])
    parser.add_argument("--seconds", type=float, default=90.0, help="for which entries are hidden, and a replica lags")
    parser.add_argument("--rate", type=float, default=400_000, help="bytes a second of the load of a replica")
    given = parser.parse_args()
    print(HEAD, flush=True)
    with tempfile.TemporaryDirectory(prefix="vmaild-replicas-") as name:
        for case in given.cases:
            for changes in given.changes:
                _run(Path(name), case, changes, given)
    return 0


def _run(home: Path, case: str, changes: str, given: argparse.Namespace) -> None:
    def each(title: str, work: Callable[[Site], Oracle]) -> None:
        own = home / f"{time.monotonic_ns()}"
        own.mkdir()
        with contextlib.ExitStack() as stack:
            oracle = work(Site(own, given.accounts, stack))
        print(f"| {title}, {changes} | {oracle.row()} |", flush=True)
        print("\n".join(oracle.examples), flush=True)

    if case == "half-loaded":
        for other in (False, True):
            who = "own, other, provider" if other else "own, provider"
            work = functools.partial(half_loaded, changes=changes, other=other, rate=given.rate)
            each(f"half loaded: {who}", work)
        each("half loaded when vmaild starts", functools.partial(started, changes=changes, rate=given.rate))
    elif case == "hidden":
        for what in ("all", "domains", "accounts"):
            for canaries in (False, True):
                work = functools.partial(hidden, changes=changes, what=what, canaries=canaries, seconds=given.seconds)
                each(f"hidden: {what}{', canaries' if canaries else ''}", work)
    else:
        own = home / f"{time.monotonic_ns()}"
        own.mkdir()
        with contextlib.ExitStack() as stack:
            count, back = lagging(Site(own, given.accounts, stack), changes, seconds=given.seconds)
        print(f"lagging, {changes}: {count} answers, {len(back)} back in time {back[:5]}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
