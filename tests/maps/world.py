"""A directory that changes, is slow, fails and answers in any order; maps over it; and what must hold whatever happens.

Of each address the world knows every answer that the directory could have given, and until when (``Truth``). From that:

- what a record knows for its maps could have come from one state of the tree, and not from one that is too old;
- an address that has had an entry all along is never "not found" in both the alias and the mailbox map;
- a record that replaces another is not older than the newest search that had an answer for its key;
- a search that ends leaves no record for its key that is older than it;
- a reply is TEMP, or what the directory said of that key: a failure is never NOTFOUND.
"""

from __future__ import annotations

import asyncio
import dataclasses
import random
import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.cache.fake_time import FakeTimeLoop
from tests.maps.fake_directory import BASE, account, alias, evaluate, new_schema, role
from tests.maps.site import ALIAS, LOGIN, MAILBOX
from tests.maps.truth import Truth, both_not_found, outcome, plain
from vmaild.cache import Answer, Cache, CacheSettings, Record
from vmaild.config.maps import Common, read_maps
from vmaild.config.section import Problems
from vmaild.directory import Ended, Found
from vmaild.errors import DirectoryFailure
from vmaild.lookup import NOT_FOUND, Entry, Reply, Request, Search, Status
from vmaild.maps import Maps
from vmaild.maps.flight import Flight
from vmaild.tables import Schema

NAMES = (MAILBOX, ALIAS, LOGIN)
MEMBERS = ("m1@d.example", "m2@d.example")
CHANGING = ("a@d.example", "p@d.example", "postmaster@d.example", "x@e.example", *MEMBERS)
"""Addresses that get entries of their own."""
STEADY = "s@d.example"
"""An address whose account never changes."""
KEYS = (*CHANGING, STEADY, "a+t@d.example", "x+t@e.example", "none@d.example")
ALL_ALONG = frozenset({"p@d.example", "postmaster@d.example", "x@e.example", "x+t@e.example", STEADY, *MEMBERS})
"""Addresses that always have an entry of some kind: their own, the role, the catch-all."""

SETTINGS = CacheSettings(ttl=300, negative_ttl=30, stale_ttl=1000, stale_answer_after=1.8, failure_recheck=5)
TIMEOUT = 3.0
STEP = 0.001
"""Seconds that each step takes, so that no two things happen at the same time."""


@dataclass(eq=False)
class Pending:
    """One search on its way; ``entries`` when the server has looked."""

    search: Search
    done: Callable[[Ended], None]
    began: float
    keys: list[str]
    timer: asyncio.TimerHandle | None = None
    outcome: list[Entry] | DirectoryFailure | None = None


@dataclass
class Counts:
    """What happened, so that a run in which nothing does cannot pass for one in which nothing went wrong."""

    replies: dict[str, int] = field(default_factory=dict)
    searches: int = 0
    cached: int = 0
    records: int = 0

    def add(self, reply: Reply) -> None:
        self.replies[reply.status.name] = self.replies.get(reply.status.name, 0) + 1


class World:
    """Call ``close`` at the end."""

    def __init__(self, rng: random.Random | None = None, bounds: tuple[int, int] = (4, 2)) -> None:
        rng = rng or random.Random(0)
        self.loop = FakeTimeLoop()
        self.stray: list[object] = []
        self.loop.set_exception_handler(lambda _, context: self.stray.append(context))
        problems = Problems("test")
        groups = read_maps("courier", {}, Common(BASE, "+"), problems).groups
        self.bounds = {True: bounds[0], False: bounds[1]}
        settings = dataclasses.replace(SETTINGS, max_entries=bounds[0], max_negative_entries=bounds[1])
        self.cache = Cache(settings, clock=self.loop.time, jitter=rng.random)
        self.maps = Maps(groups, self.cache, self, timeout=TIMEOUT, clock=self.loop.time)
        # Samples of what was found lately take searches of their own: see test_samples.
        self.maps._suspicion.of = lambda _: None  # type: ignore[assignment]
        self.prefix = self.maps._maps[MAILBOX].prefix
        self.servers = (new_schema(), new_schema(b"( 9.9 NAME 'more' )"), new_schema())
        self.schema = self.servers[0]
        self.search_time = 0.0
        self.failed_over: set[Flight] = set()
        self.prompt = False
        """Whether the server reads its tree as soon as it is asked, however late its answer arrives."""
        self.pending: list[Pending] = []
        self.tree: dict[str, Entry] = {}
        self.truths = {key: Truth() for key in KEYS}
        self.newest = dict.fromkeys(KEYS, float("-inf"))
        self.records: dict[str, Record | None] = dict.fromkeys(KEYS)
        self.tasks: deque[asyncio.Task[Reply]] = deque()
        self.counts = Counts()
        self.log: deque[str] = deque(maxlen=60)
        self.number = 0
        self._plant()

    def _plant(self) -> None:
        for key in (*ALL_ALONG, "@e.example"):
            if key not in ("postmaster@d.example", "x@e.example", "x+t@e.example"):
                self.tree[f"{key} 0"] = self._new(key, "account" if key[0] != "@" else "alias", 0)
        self.tree["role"] = role("d.example", self.tree[f"{MEMBERS[0]} 0"].dn)
        self._changed()

    def close(self) -> None:
        self.loop.run_until_complete(self._cancel())
        self.loop.close()

    async def _cancel(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    # --- what happens -------------------------------------------------------------------------------------------------

    def step(self, what: str, *how: object) -> None:
        """Do one thing, and check."""
        self.log.append(f"{self.loop.now:.2f} {what} {' '.join(map(str, how))}")
        self.loop.run_until_complete(self._do(getattr(self, f"_{what}"), *how))
        self.check()

    async def _do(self, work: Callable[..., float | None], *how: object) -> None:
        pause = work(*how)
        await asyncio.sleep(STEP + (pause or 0.0))

    def _advance(self, seconds: float) -> float:
        return seconds

    def _put(self, key: str, slot: int, kind: str, quality: int) -> None:
        """Give an address another entry, or one more."""
        self.tree[f"{key} {slot}"] = self._new(key, kind, slot, quality)
        self._changed()

    def _remove(self, key: str, slot: int) -> None:
        before = dict(self.tree)
        self.tree.pop(f"{key} {slot}", None)
        own = any(f"{key} {number}" in self.tree for number in (0, 1))
        if key in MEMBERS or (key == "p@d.example" and not own) or (not own and key[0] == "p" and not self._role()):
            self.tree = before
        self._changed()

    def _role(self) -> bool:
        return "role" in self.tree

    def _occupy(self, members: int) -> None:
        """Change the role: 0 to 3 say which members are in it, 4 removes it while postmaster has an entry."""
        if members == 4:
            if any(f"postmaster@d.example {number}" in self.tree for number in (0, 1)):
                self.tree.pop("role", None)
        else:
            dns = [self.tree[f"{key} 0"].dn for bit, key in enumerate(MEMBERS, 1) if members & bit]
            self.tree["role"] = role("d.example", *dns)
        self._changed()

    def _new(self, key: str, kind: str, slot: int, quality: int = 2) -> Entry:
        """An entry with a value of its own; quality 0 has an unusable value, 1 none."""
        self.number += 1
        name = key if slot == 0 else f"{key} again"
        domain = key.partition("@")[2]
        if kind == "account":
            values = ("/etc/", "", f"{domain}/{self.number}/")[quality]
            return account(key, *([values] if values else []), name=name)
        values = ("a\nb@y.example", "", f"{self.number}@y.example")[quality]
        return alias(key, *([values] if values else []), name=name)

    def _ask(self, place: int, key: str, server: str = "slow") -> None:
        """A client asks; it may be gone when the reply comes, which changes nothing.

        ``server``: it reads and answers late (slow), reads at once and answers late (prompt), or does both at once.
        """
        self.prompt = server == "prompt"
        before = self.pending[:]
        self._ask_for(place, key)
        while server == "fast" and self.pending and self.pending[-1] not in before:
            self._land(-1)

    def _ask_for(self, place: int, key: str) -> None:
        got = self.maps.seek(NAMES[place], key.upper().encode(), lambda reply: self._cached(place, key, reply))
        if isinstance(got, Answer):
            self.counts.cached += 1
            return
        assert not isinstance(got, Reply)
        joined = self.newest[key]
        replies: list[Reply] = []

        def tell(reply: Reply) -> None:
            replies.append(reply)
            assert len(replies) == 1, "told twice"
            self._told(place, key, reply, joined)

        self.maps.look_up(got, tell)

    def _find(self, place: int, key: str) -> None:
        """As ``ask``, by one who can be cancelled."""
        self.tasks.append(self.loop.create_task(self.maps.find(Request(NAMES[place], key.encode()))))
        if len(self.tasks) > 4:
            self.tasks.popleft().cancel()

    def _look(self, number: int) -> None:
        """The server reads its tree for a search, and answers later."""
        if self.pending:
            one = self.pending[number % len(self.pending)]
            one.outcome = evaluate(self._entries(), one.search)

    def _land(self, number: int) -> None:
        """The answer to a search arrives."""
        if self.pending:
            one = self.pending[number % len(self.pending)]
            self._end(one, evaluate(self._entries(), one.search) if one.outcome is None else one.outcome)

    def _fail(self, number: int, kind: str) -> None:
        if self.pending:
            self._end(self.pending[number % len(self.pending)], DirectoryFailure(kind, kind))

    def _server(self, number: int) -> None:
        """Lookups go to another server now."""
        self.schema = self.servers[number]

    def _flush(self, place: int | None, key: str | None) -> None:
        self.maps.flush(None if place is None else NAMES[place], None if key is None else key.encode())
        for flushed in KEYS if key is None else [key]:
            self.newest[flushed] = self.loop.time()

    # --- the directory ------------------------------------------------------------------------------------------------

    def begin(self, search: Search, end: float, done: Callable[[Ended], None]) -> None:
        """As ``Pool.begin``."""
        self.counts.searches += 1
        mails = [re.sub(r"\\2[bB]", "+", mail) for mail in re.findall(r"\(mail=([^)]+)\)", search.filter)]
        keys = [key for key in dict.fromkeys(mails) if key in self.truths]
        if len(keys) > 1 and "+" in keys[0]:
            keys = keys[:1]  # the address without its extension is asked for as part of the answer
        one = Pending(search, done, self.loop.time(), keys)
        one.timer = self.loop.call_at(max(end, one.began), self._end, one, DirectoryFailure("too late", "timeout"))
        self.pending.append(one)
        if self.prompt:
            one.outcome = evaluate(self._entries(), search)

    def _end(self, one: Pending, how: list[Entry] | DirectoryFailure) -> None:
        self.pending.remove(one)
        assert one.timer is not None
        one.timer.cancel()
        if isinstance(how, DirectoryFailure):
            one.done(how)
            return
        begun = self.counts.searches
        flight = _flight_of(one.done)
        one.done(Found(how, one.began, self._answering(flight)))
        # What a flush overtook may begin another search after it, whose answer is not stored either.
        own = "" if flight.newest == float("inf") else flight.key.removeprefix(self.prefix).decode()
        if one.keys == [own] and begun == self.counts.searches:
            record = self._record(own)
            if record is not None:
                assert self._last(own, record) >= one.began, f"{own}: an older answer is left: {record.known}"
        before = dict(self.records)
        self._observe()
        for key in one.keys:
            # What a search says of other keys counts where it was stored; a record that made room was not.
            if key == own or (self.records[key] is not None and self.records[key] is not before[key]):
                self.newest[key] = max(self.newest[key], one.began)

    def _answering(self, flight: Flight) -> Schema:
        """The schema of who answers: another server than the lookup was planned for, once in a lookup.

        After a second failover in one lookup it takes several searches, as without a schema, and may see several states
        of the tree.
        """
        planned = flight.lookup.schema
        assert planned is not None
        if planned.raw == self.schema.raw:
            return self.schema
        if flight in self.failed_over:
            return planned
        self.failed_over.add(flight)
        return self.schema

    def _entries(self) -> list[Entry]:
        return [self.tree[slot] for slot in sorted(self.tree)]

    def _changed(self) -> None:
        now, entries = self.loop.time(), self._entries()
        for key, truth in self.truths.items():
            new = outcome(entries, key)
            assert not (key in ALL_ALONG and both_not_found(new)), key
            truth.change(new, now)
            truth.forget_before(now - SETTINGS.ttl - SETTINGS.stale_ttl - 2 * TIMEOUT)

    # --- what must hold -----------------------------------------------------------------------------------------------

    def _record(self, key: str) -> Record | None:
        return self.cache.get(self.prefix + key.encode())

    def _last(self, key: str, record: Record) -> float:
        return self.truths[key].last(tuple(map(plain, record.known)))

    def check(self) -> None:
        """All that must hold at every moment."""
        now = self.loop.time()
        assert not self.stray, self.stray
        self._observe()
        for key, record in self.records.items():
            if record is None or now > record.expires_at + SETTINGS.stale_ttl:
                continue
            last = self._last(key, record)
            assert last > float("-inf"), f"{key}: its maps contradict each other: {record.known}"
            if now < record.expires_at:
                life = SETTINGS.negative_ttl if NOT_FOUND in record.known else SETTINGS.ttl
                assert last >= now - life - 2 * TIMEOUT, f"{key}: too old: {record.known}"
        assert all(self.cache.counts[kind] <= bound for kind, bound in self.bounds.items())

    def _observe(self) -> None:
        """Look for new records: none is older than what is known."""
        for key, before in self.records.items():
            record = self._record(key)
            if record is before:
                continue
            self.records[key] = record
            if record is not None and (before is None or record.known != before.known):
                self.counts.records += 1
                last = self._last(key, record)
                assert last >= self.newest[key], f"{key}: an older search replaced a newer: {record.known}"

    def _cached(self, place: int, key: str, reply: Reply) -> bytes:
        self._check_reply(place, key, reply)
        return b""

    def _told(self, place: int, key: str, reply: Reply, joined: float) -> None:
        self._check_reply(place, key, reply)
        record = self._record(key)
        if reply.status is Status.TEMPORARY or (record is not None and self.loop.time() >= record.expires_at):
            return
        last = self._last_reply(place, key, reply)
        assert last >= joined, f"{key}: told what is older than what was found before: {reply}"

    def _last_reply(self, place: int, key: str, reply: Reply) -> float:
        said = reply.text if reply.status is Status.FOUND else reply
        return max((u for one, u in self.truths[key].until.items() if one[place] == said), default=float("-inf"))

    def _check_reply(self, place: int, key: str, reply: Reply) -> None:
        self.counts.add(reply)
        if reply.status is Status.TEMPORARY:
            return
        last = self._last_reply(place, key, reply)
        assert last > float("-inf"), f"{key}: {NAMES[place]!r} never was {reply}"
        negative = reply is NOT_FOUND
        life = 2 * SETTINGS.negative_ttl if negative else SETTINGS.ttl + SETTINGS.stale_ttl
        assert last >= self.loop.time() - life - 2 * TIMEOUT, f"{key}: {reply} is too old"
        if reply.status is Status.NOT_FOUND and place < 2 and key in ALL_ALONG:
            other = self._readable(1 - place, key)
            assert other is None or other.status is not Status.NOT_FOUND, f"{key} is denied in both maps"

    def _readable(self, place: int, key: str) -> Reply | None:
        """What the cache answers for another map at the same moment."""
        replies: list[Reply] = []

        def keep(reply: Reply) -> bytes:
            replies.append(reply)
            return b""

        return replies[0] if isinstance(self.maps.seek(NAMES[place], key.encode(), keep), Answer) else None


def _flight_of(done: Any) -> Flight:
    """The flight that a search was for; one for a member of many comes by way of ``SideBySide``."""
    owner = getattr(done, "func", done).__self__
    flight = owner if isinstance(owner, Flight) else owner._done.__self__
    assert isinstance(flight, Flight)
    return flight
