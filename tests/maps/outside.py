"""Seen from outside: a real daemon is asked while its directory changes, and its answers are compared with each other.

``python -m tests.maps.outside --seconds 60 [--ttl 5 --negative-ttl 2]`` makes a slapd with 200 addresses in 20 domains
and the daemon in front of it, changes an address at random a few times a second (an account, an alias, an account and
an alias, a role behind it or a catch-all, nothing, data that must not be used), and asks for all of them over and over.
Each address is asked for in the alias map and in the mailbox map back to back, in one segment: the daemon takes both up
in one turn of its loop. Reported:

contradiction   the two answers could not have come from one state that the directory ever had
denied          both are NOTFOUND, and the address has had an entry of some kind all along

A record can be renewed between the two answers of a pair: the first is then from before, the second from after it, and
each is right. Such a pair is asked again at once. If it agrees then, it was that, and it counts as *renewed between*;
else as a contradiction. A record that contradicts itself stays as it is for the length of its life.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import socket
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from bonsai import LDAPClient, LDAPConnection, LDAPEntry, LDAPModOp

from vmaild.demo.daemon import DaemonProcess, Listen
from vmaild.demo.slapd import Slapd, free_port
from vmaild.demo.tree import SEARCH_BASE, tree
from vmaild.listening import InetAddress
from vmaild.lookup import Reply, Request, Status
from vmaild.wire import socketmap

DOMAINS, LOCALPARTS = 20, 9
"""With the role: 200 addresses, of which every other domain has a catch-all behind it."""

ALIAS, MAILBOX = b"virtual_alias_maps", b"virtual_mailbox_maps"
STATES = ("account", "alias", "both", "nothing", "bad account", "bad alias")

Pair = tuple[str, str]


def word(reply: Reply) -> str:
    """What of a reply can be compared: a value as it is, else the status."""
    return reply.text.decode() if reply.status is Status.FOUND else reply.status.name


class Tree:
    """The directory, and every pair of answers that each address may ever have had."""

    def __init__(self, slapd: Slapd) -> None:
        client = LDAPClient(slapd.uri)
        client.set_credentials("SIMPLE", slapd.root_dn, slapd.root_pw)
        self._connection: LDAPConnection = client.connect()
        self._number = 0
        self.changes = 0
        self.states: dict[str, str] = {}
        self.values: dict[str, dict[str, str]] = {}
        self.possible: dict[str, set[Pair]] = {}
        self.lock = threading.Lock()
        for number in range(DOMAINS):
            self._plant(f"d{number}.example", catch_all=number % 2 == 0)

    def _plant(self, domain: str, *, catch_all: bool) -> None:
        base = f"o={domain},{SEARCH_BASE}"
        self._add(base, "organization", o=domain)
        # Whom the role names is nobody whose entry changes.
        self._add(
            f"cn=postmaster,{base}", "organizationalRole", cn="postmaster", roleOccupant=self._account("boss", base)
        )
        if catch_all:
            self._add(f"mail=@{domain},{base}", "courierMailAlias", mail=f"@{domain}", maildrop=f"all@{domain}")
        for local in ["postmaster", *(f"u{number}" for number in range(LOCALPARTS))]:
            key = f"{local}@{domain}"
            self.values[key] = {}
            self.states[key] = "nothing"
            self.possible[key] = {self._pair(key)}

    def _account(self, local: str, base: str) -> str:
        domain = base.partition(",")[0].removeprefix("o=")
        dn = f"mail={local}@{domain},{base}"
        self._add(dn, "courierMailAccount", mail=f"{local}@{domain}", mailbox=f"{domain}/{local}/", **_POSIX)
        return dn

    def _add(self, dn: str, kind: str, **values: object) -> None:
        entry = LDAPEntry(dn)
        entry["objectClass"] = [kind]
        for name, value in values.items():
            entry[name] = [value]
        self._connection.add(entry)

    def exists_all_along(self, key: str) -> bool:
        """Whether a role or a catch-all answers for the address, or it has never been without an entry of its own."""
        return not any(pair == ("NOT_FOUND", "NOT_FOUND") for pair in self.possible[key])

    def change(self, key: str, state: str) -> None:
        """Bring one address into another state: what is new comes before what is old goes."""
        domain = key.partition("@")[2]
        base = f"o={domain},{SEARCH_BASE}"
        want = {kind: state in (kind, "both", f"bad {kind}") for kind in ("account", "alias")}
        self._number += 1
        for kind in sorted(want, key=lambda kind: not want[kind]):
            dn = f"mail={kind}-{key},{base}"
            if want[kind]:
                box = "/etc/" if state == "bad account" else f"{domain}/{self._number}/"
                drop = "a@b.example\n" if state == "bad alias" else f"{self._number}@elsewhere.example"
                value = box if kind == "account" else drop
                self._put(key, kind, dn, value)
            elif kind in self.values[key]:
                with self.lock:
                    del self.values[key][kind]
                    self.possible[key].add(self._pair(key))
                self._connection.delete(dn)
        with self.lock:
            self.states[key] = state
            self.changes += 1

    def _put(self, key: str, kind: str, dn: str, value: str) -> None:
        with self.lock:
            there = kind in self.values[key]
            self.values[key][kind] = value
            # It may be read as soon as it is written, so it is possible before.
            self.possible[key].add(self._pair(key))
        name = "mailbox" if kind == "account" else "maildrop"
        if there:
            entry = LDAPEntry(dn, self._connection)
            entry.change_attribute(name, LDAPModOp.REPLACE, value)
            entry.modify()
            return
        mails = [f"{kind}-{key}", key]
        entry = LDAPEntry(dn)
        entry["objectClass"] = ["courierMailAccount" if kind == "account" else "courierMailAlias"]
        entry["mail"] = mails
        entry[name] = [value]
        for attribute, more in (_POSIX if kind == "account" else {}).items():
            entry[attribute] = [more]
        self._connection.add(entry)

    def _pair(self, key: str) -> Pair:
        """What the alias map and the mailbox map must say now."""
        local, _, domain = key.partition("@")
        values = self.values[key]
        account, alias = values.get("account"), values.get("alias")
        catch_all = int(domain[1:].partition(".")[0]) % 2 == 0
        if alias is not None:
            as_alias = "TEMPORARY" if "\n" in alias else alias
        elif account is not None:
            as_alias = "NOT_FOUND"
        elif local == "postmaster":
            as_alias = f"boss@{domain}"
        else:
            as_alias = f"all@{domain}" if catch_all else "NOT_FOUND"
        as_mailbox = "NOT_FOUND" if account is None else "TEMPORARY" if account == "/etc/" else account
        return as_alias, as_mailbox


_POSIX = {"homeDirectory": "/home/vmail", "uidNumber": 101, "gidNumber": 101}


class Client:
    """One connection to the daemon."""

    def __init__(self, address: InetAddress) -> None:
        self._socket = socket.create_connection((address.host, address.port), 10)
        self._replies = socketmap.SocketmapReplies()

    def close(self) -> None:
        self._socket.close()

    def pair(self, key: str) -> Pair:
        """What the alias map and the mailbox map say of ``key``, asked back to back."""
        requests = [socketmap.encode_request(Request(name, key.encode())) for name in (ALIAS, MAILBOX)]
        self._socket.sendall(b"".join(requests))
        return self._reply(), self._reply()

    def _reply(self) -> str:
        while (reply := self._replies.next()) is None:
            data = self._socket.recv(65536)
            if not data:
                raise ConnectionError("the daemon closed the connection")
            self._replies.feed(data)
        return word(reply)


@dataclass
class Result:
    """What was counted."""

    answers: int = 0
    temporary: int = 0
    renewed_between: int = 0
    contradictions: int = 0
    denied: int = 0
    changes: int = 0
    examples: list[str] = field(default_factory=list)


def run(seconds: float, *, rate: float = 5.0, pace: float = 3000.0, seed: int = 1, cache: str = "") -> Result:
    """Ask ``pace`` pairs a second for so many seconds, with ``rate`` changes a second. ``cache`` is TOML."""
    rng = random.Random(seed)
    result = Result()
    with contextlib.ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vmaild-outside-")))
        slapd = stack.enter_context(Slapd(home / "slapd", ldif=tree()))
        directory = Tree(slapd)
        for key in directory.states:
            directory.change(key, rng.choice(STATES))
            directory.possible[key] = {directory._pair(key)}
        listens = [Listen(f"inet:127.0.0.1:{free_port()}")]
        daemon = DaemonProcess(home, [slapd.uri], listens, tables=cache)
        daemon.start()
        stack.callback(daemon.stop)
        _ask_and_change(directory, daemon, result, seconds, rate, pace, rng)
    result.changes = directory.changes - len(directory.states)
    return result


def _ask_and_change(
    directory: Tree, daemon: DaemonProcess, result: Result, seconds: float, rate: float, pace: float, rng: random.Random
) -> None:
    assert isinstance(daemon.address, InetAddress)
    end = time.monotonic() + seconds
    stop = threading.Event()

    def change() -> None:
        while not stop.wait(rng.expovariate(rate)):
            directory.change(rng.choice(list(directory.states)), rng.choice(STATES))

    changing = threading.Thread(target=change)
    changing.start()
    client = Client(daemon.address)
    keys = list(directory.states)
    order = random.Random(2)
    try:
        while time.monotonic() < end:
            order.shuffle(keys)
            began = time.monotonic()
            for key in keys:
                _check(client, directory, key, result)
            time.sleep(max(0.0, len(keys) / pace - (time.monotonic() - began)))
    finally:
        stop.set()
        changing.join()
        client.close()


def _check(client: Client, directory: Tree, key: str, result: Result) -> None:
    pair = client.pair(key)
    result.answers += 2
    result.temporary += pair.count("TEMPORARY")
    if _fits(directory, key, pair):
        return
    again = client.pair(key)
    result.answers += 2
    if _fits(directory, key, again):
        result.renewed_between += 1
        return
    result.contradictions += 1
    result.denied += again == ("NOT_FOUND", "NOT_FOUND") and directory.exists_all_along(key)
    if len(result.examples) < 10:
        result.examples.append(f"{key}: {pair}, then {again}; possible: {sorted(directory.possible[key])[-5:]}")


def _fits(directory: Tree, key: str, pair: Pair) -> bool:
    with directory.lock:
        return pair in directory.possible[key]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=5.0, help="changes a second")
    parser.add_argument("--pace", type=float, default=3000.0, help="pairs a second, at most")
    parser.add_argument("--ttl", type=float)
    parser.add_argument("--negative-ttl", type=float)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--apart", action="store_true", help="give the two maps a record each: this must fail")
    given = parser.parse_args()
    ages = {"ttl": given.ttl, "negative_ttl": given.negative_ttl}
    cache = "\n".join(["[cache]", *(f"{name} = {value}" for name, value in ages.items() if value is not None)])
    if given.apart:
        cache += '\n[maps.virtual_alias_maps]\nrecord = "apart"\n'
    result = run(given.seconds, rate=given.rate, pace=given.pace, seed=given.seed, cache=cache)
    for name in ("answers", "changes", "temporary", "renewed_between", "contradictions", "denied"):
        print(f"{name:>16} {getattr(result, name)}")
    print(*result.examples, sep="\n")
    return 1 if result.contradictions else 0


if __name__ == "__main__":
    sys.exit(main())
