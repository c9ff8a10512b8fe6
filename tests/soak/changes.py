"""``python -m tests.soak.changes PORT``: addresses that change, and what is said of them. Until it is ended.

Standard input's first line is where the directory is: ``URI ROOT_DN ROOT_PW``. A thread changes one address at random
a few times a second with ldapmodify; another asks for all of them over and over. Every value is written once in a
run, so that a value tells when it was right. An address of the first kind always has a value, so NOTFOUND is wrong for
it at any time; one of the second comes and goes.

How old a value may be depends on what was down in between. So each answer that was not right when it was asked for goes
into ``Tally.old`` with its age, and the parent judges.
"""

from __future__ import annotations

import random
import socket
import subprocess
import sys
import threading
import time
from typing import NamedTuple

from benchmarks.site.population import ALIASES
from tests.soak.client import PATIENCE
from tests.soak.oracle import CHANGING_DOMAIN, alias_entry
from tests.soak.tally import Tally
from vmaild.demo.tree import SEARCH_BASE
from vmaild.lookup import Reply, Request, Status
from vmaild.wire import socketmap

ALWAYS, GOING = 40, 20
RATE = 5.0
"""Changes a second."""

PACE = 300.0
"""Questions a second."""

ABSENT = ""
ALREADY_THERE, NOT_THERE = 68, 32
"""LDAP's results, which ldapmodify ends with (RFC 4511, appendix A)."""

YOUNG = 0.5
"""Seconds: the age of an answer that is not worth telling the parent."""


class Span(NamedTuple):
    """A state of an address, and when it may have been so: it may be read from the moment its writing begins."""

    value: str
    since: float
    until: float


class History:
    """Every state that each address may have had. An address has more than one open state while it changes."""

    def __init__(self, keys: list[str]) -> None:
        self._spans: dict[str, list[Span]] = {key: [Span(ABSENT, 0.0, float("inf"))] for key in keys}
        self._lock = threading.Lock()

    def begin(self, key: str, value: str) -> None:
        """``value`` is about to be written."""
        with self._lock:
            self._spans[key].append(Span(value, time.monotonic(), float("inf")))

    def end(self, key: str, value: str) -> None:
        """``value`` has been written: the others are over."""
        now = time.monotonic()
        with self._lock:
            self._spans[key] = [
                one if one.value == value or one.until < now else one._replace(until=now) for one in self._spans[key]
            ]

    def age(self, key: str, value: str, asked: float) -> float | None:
        """For how long ``value`` had not been right at the time ``asked``; None if it never was."""
        with self._lock:
            ends = [one.until for one in self._spans[key] if one.value == value]
        return max(0.0, asked - max(ends)) if ends else None


class Writer:
    """Changes the directory through ldapmodify, a process for each change."""

    def __init__(self, uri: str, root_dn: str, root_pw: str, history: History) -> None:
        self._command = ["ldapmodify", "-x", "-H", uri, "-D", root_dn, "-w", root_pw]
        self._history = history
        self._present: set[str] = set()
        self._number = 0
        self.changes = 0

    def present(self, key: str) -> bool:
        """Whether ``key`` has a value, as far as is known."""
        return key in self._present

    def change(self, key: str, *, absent: bool = False) -> bool:
        """Give ``key`` a new value, or none. False when nobody can tell whether that was done."""
        self._number += 1
        value = ABSENT if absent else f"v{self._number}@{key.replace('@', '.')}"
        self._history.begin(key, value)
        dn = f"mail={key},o={CHANGING_DOMAIN},{SEARCH_BASE}"
        if absent:
            record = f"dn: {dn}\nchangetype: delete\n"
        elif key in self._present:
            record = f"dn: {dn}\nchangetype: modify\nreplace: maildrop\nmaildrop: {value}\n"
        else:
            record = alias_entry(key, [value]).replace("\n", "\nchangetype: add\n", 1)
        done = subprocess.run(self._command, input=record, text=True, capture_output=True, check=False)
        if done.returncode:
            # Whether the change before was made was not known then.
            if done.returncode == ALREADY_THERE:
                self._present.add(key)
            elif done.returncode == NOT_THERE:
                self._present.discard(key)
            return False
        self.changes += 1
        self._history.end(key, value)
        (self._present.discard if absent else self._present.add)(key)
        return True


def _write_on(writer: Writer, keys: list[str], tally: Tally) -> None:
    rng = random.Random(1)
    while True:
        time.sleep(rng.expovariate(RATE))
        key = rng.choice(keys)
        going = key.startswith("going")
        absent = going and writer.present(key) and rng.random() < 0.5
        if not writer.change(key, absent=absent):
            tally.counts["changes failed"] += 1
        else:
            tally.counts["changes"] += 1


class Asker:
    """Asks over one connection, one question after the other."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self._replies = socketmap.SocketmapReplies()

    def ask(self, key: str) -> Reply:
        """The alias map's answer."""
        self._socket.sendall(socketmap.encode_request(Request(ALIASES, key.encode())))
        while (reply := self._replies.next()) is None:
            data = self._socket.recv(65536)
            if not data:
                raise ConnectionError("closed by the daemon")
            self._replies.feed(data)
        return reply


def _check(key: str, reply: Reply, asked: float, history: History, tally: Tally) -> None:
    tally.answers += 1
    if reply.status is Status.TEMPORARY:
        tally.temporary_since(asked)
        return
    value = reply.text.decode() if reply.status is Status.FOUND else ABSENT
    age = history.age(key, value, asked)
    if age is None or (value == ABSENT and key.startswith("always")):
        tally.mistake(f"{key}: {reply.status.name} {value}")
    elif age > YOUNG:
        tally.old.append((asked, age, f"{key}: {reply.status.name} {value}"))


def main(port: int) -> None:
    uri, root_dn, root_pw = sys.stdin.readline().split()
    keys = [f"always{number}@{CHANGING_DOMAIN}" for number in range(ALWAYS)]
    history = History(keys := [*keys, *(f"going{number}@{CHANGING_DOMAIN}" for number in range(GOING))])
    writer, tally = Writer(uri, root_dn, root_pw, history), Tally()
    for key in keys:
        if not writer.change(key):
            raise SystemExit("the directory cannot be written to")
    threading.Thread(target=_write_on, args=(writer, keys, tally), daemon=True).start()
    asker, rng = Asker(port), random.Random(2)
    emit_at = time.monotonic() + 1.0
    while True:
        key, asked = rng.choice(keys), time.monotonic()
        _check(key, asker.ask(key), asked, history, tally)
        if time.monotonic() >= emit_at:
            tally.emit()
            emit_at = time.monotonic() + 1.0
        time.sleep(1 / PACE)


if __name__ == "__main__":
    main(int(sys.argv[1]))
