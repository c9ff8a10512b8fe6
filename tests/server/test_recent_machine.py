"""Whatever happens to records, an answer that two listeners remember serves exactly as long as its record."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from vmaild.cache import NEVER, Answer, Cache, CacheSettings
from vmaild.lookup import NOT_FOUND, Status
from vmaild.server.recent import Recent

KEYS = st.sampled_from([b"0 a", b"0 b", b"0 c"])
KNOWN = st.lists(st.sampled_from([b"x", b"y", NOT_FOUND]), min_size=2, max_size=2)
PLACES = st.sampled_from([0, 1])


class Remembering(RuleBasedStateMachine):
    """Two places of a few records, asked for by two listeners, in two spellings."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        settings = CacheSettings(max_entries=2, max_negative_entries=2)
        self.cache = Cache(settings, clock=lambda: self.now, jitter=lambda: 0.5)
        self.recents = [Recent(3000), Recent(3000)]
        self.given: list[Answer] = []

    @rule(key=KEYS, known=KNOWN)
    def store(self, key: bytes, known: list[Any]) -> None:
        self.cache.store(key, known, None)

    @rule(key=KEYS, place=PLACES, listener=PLACES, spelling=st.sampled_from([b"a", b"A", b"b", b"B" * 200]))
    def ask(self, key: bytes, place: int, listener: int, spelling: bytes) -> None:
        """As a connection does: what is cached is given, and remembered."""
        record = self.cache.get(key)
        known = None if record is None else record.known[place]
        if record is None or known is None or not self.cache.serves(record, known, self.now):
            return
        status = Status.FOUND if isinstance(known, bytes) else Status.NOT_FOUND
        tally = self.cache.tally(f"map{place}", status, stale=self.now >= record.expires_at)
        wire = known if isinstance(known, bytes) else b"not found"
        answer = Answer(record, b"%d %b" % (listener, wire), tally)
        if self.now < answer.refresh_at:
            data = b"%b %d %b" % (key, place, spelling)
            self.recents[listener].remember(data, answer)
            kept = self.recents[listener].get(data)
            assert kept is not None
            assert (kept.record, kept.wire, kept.tally) == (record, answer.wire, tally)
            assert kept.refresh_at == record.refresh_at, "what was just remembered serves"
            self.given.append(kept)

    @rule(key=KEYS)
    def age(self, key: bytes) -> None:
        if record := self.cache.get(key):
            record.age(self.now)

    @rule(key=KEYS)
    def renew_later(self, key: bytes) -> None:
        record = self.cache.get(key)
        if record and self.now < record.expires_at:
            record.refresh_at = record.expires_at

    @rule(key=KEYS)
    def put_off(self, key: bytes) -> None:
        if record := self.cache.get(key):
            self.cache.put_off(record)

    @rule(key=KEYS, ago=st.floats(0, 1000))
    def cap(self, key: bytes, ago: float) -> None:
        if record := self.cache.get(key):
            self.cache.cap(record, self.now - ago)

    @rule(key=KEYS)
    def forget(self, key: bytes) -> None:
        self.cache.forget(key)

    @rule(listener=PLACES)
    def clear(self, listener: int) -> None:
        self.recents[listener].clear()

    @rule(seconds=st.floats(0, 500))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def an_answer_serves_as_long_as_its_record(self) -> None:
        for answer in self.given:
            assert answer.refresh_at in (NEVER, answer.record.refresh_at)

    @invariant()
    def a_record_has_one_answer_of_each_kind(self) -> None:
        for record in self.cache.all():
            answers = record.lease if isinstance(record.lease, tuple) else ()
            kinds = [(id(answer.tally), answer.wire) for answer in answers]
            assert len(kinds) == len(set(kinds))
            assert all(answer.record is record for answer in answers)

    @precondition(lambda self: self.given)
    @rule()
    def clear_all(self) -> None:
        for recent in self.recents:
            recent.clear()
        assert all(isinstance(record.lease, float) for record in self.cache.all()), "nothing holds an answer any more"


TestRemembering = Remembering.TestCase
TestRemembering.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)
