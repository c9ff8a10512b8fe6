"""What the messages of a stream mean, stage by stage (RFC 4533, 3.3 and 3.4)."""

from __future__ import annotations

import sys
import tracemalloc
import uuid
from typing import Any

import pytest

from tests.directory.sync_bytes import RECORDED, UUID_A, UUID_B, cookie
from vmaild.directory import sync_phases
from vmaild.directory.sync_ber import BadMessage
from vmaild.directory.sync_cookie import Cookie, Csn
from vmaild.directory.sync_events import (
    Disconnection,
    Event,
    NewCookie,
    RefreshDelete,
    RefreshPresent,
    SearchDone,
    SearchEntry,
    SearchReference,
    State,
    SyncIdSet,
    SyncState,
)
from vmaild.directory.sync_phases import (
    AgeAll,
    Changed,
    Deleted,
    Ended,
    Moved,
    Persisting,
    Present,
    Stage,
    SyncPhases,
)
from vmaild.directory.uuid_set import UuidSet

C1, C2, C3 = (Cookie.parse(cookie(f"0{n}.000000")) for n in (1, 2, 3))
NONE = RefreshDelete(2, None, True)


def begun(at: Cookie = C1) -> SyncPhases:
    return SyncPhases(2, at)


def persisting() -> SyncPhases:
    phases = begun()
    assert phases.take(NONE) == [Persisting()]
    return phases


def entry(state: State, uuid: bytes = UUID_A, at: Cookie | None = None, message: int = 2) -> SearchEntry:
    return SearchEntry(message, "cn=a,o=x", {"cn": (b"a",)}, SyncState(state, uuid, bytes(at) if at else None))


def run(phases: SyncPhases, *events: Event) -> list[object]:
    return [output for event in events for output in phases.take(event)]


def changed(state: State, uuid: bytes = UUID_A) -> Changed:
    return Changed("cn=a,o=x", uuid, {"cn": (b"a",)}, state)


def test_nothing_happened() -> None:
    phases = begun()
    assert run(phases, NONE) == [Persisting()]
    assert phases.stage is Stage.PERSIST


def test_each_change_is_followed_by_its_cookie() -> None:
    phases = persisting()
    assert run(phases, entry(State.ADD, at=C2)) == [changed(State.ADD), Moved(C2)]
    assert run(phases, entry(State.MODIFY, at=C3)) == [changed(State.MODIFY), Moved(C3)]
    assert run(phases, entry(State.DELETE, at=C3)) == [Deleted(UUID_A, "cn=a,o=x")]
    assert run(phases, NewCookie(2, bytes(C2))) == []


def test_the_cookie_of_one_server_keeps_those_of_the_others() -> None:
    two = Cookie([*C1.csns.values(), Csn.parse("20200101000000.000000Z#000000#002#000000")])
    phases = begun(two)
    run(phases, NONE)
    assert run(phases, NewCookie(2, bytes(C2))) == [Moved(two.merged(C2))]


def test_a_present_phase_tells_what_is_still_there() -> None:
    phases = begun()
    outputs = run(
        phases,
        SyncIdSet(2, None, False, (UUID_A,)),
        entry(State.MODIFY, UUID_B),
        RefreshPresent(2, bytes(C2), True),
    )
    assert outputs[0] == changed(State.MODIFY, UUID_B)
    assert isinstance(outputs[1], Present)
    assert UUID_A in outputs[1].uuids
    assert UUID_B in outputs[1].uuids
    assert bytes(16) not in outputs[1].uuids
    assert outputs[2:] == [Moved(C2), Persisting()]


def test_entries_that_are_present_are_not_changed() -> None:
    phases = begun()
    outputs = run(phases, entry(State.PRESENT), RefreshPresent(2, None, True))
    assert isinstance(outputs[0], Present)
    assert UUID_A in outputs[0].uuids


def test_a_delete_phase_tells_what_is_gone() -> None:
    phases = begun()
    gone = SyncIdSet(2, bytes(C2), True, (UUID_A, UUID_B))
    assert run(phases, gone, entry(State.ADD), RefreshDelete(2, bytes(C3), True)) == [
        Deleted(UUID_A, ""),
        Deleted(UUID_B, ""),
        changed(State.ADD),
        Moved(C3),
        Persisting(),
    ]


def test_a_delete_phase_may_follow_a_present_phase() -> None:
    phases = begun()
    outputs = run(
        phases,
        SyncIdSet(2, None, False, (UUID_A,)),
        RefreshPresent(2, bytes(C2), False),
        entry(State.DELETE, UUID_B),
        RefreshDelete(2, bytes(C3), True),
    )
    assert isinstance(outputs[0], Present)
    assert outputs[1:] == [Deleted(UUID_B, "cn=a,o=x"), Moved(C3), Persisting()]


def test_no_cookie_of_a_refresh_counts_before_its_end() -> None:
    """A stream that breaks off in the middle would be taken up again after deletions that were never reported."""
    phases = begun()
    assert run(phases, NewCookie(2, bytes(C3)), entry(State.ADD, at=C3)) == [changed(State.ADD)]
    assert run(phases, RefreshDelete(2, None, True)) == [Moved(C3), Persisting()]


def test_without_a_cookie_nothing_is_known_of_what_was_there_before() -> None:
    assert run(begun(Cookie()), entry(State.ADD), RefreshDelete(2, bytes(C1), True)) == [
        changed(State.ADD),
        AgeAll("the stream began without a cookie"),
        Moved(C1),
        Persisting(),
    ]
    outputs = run(begun(Cookie()), entry(State.ADD), RefreshPresent(2, bytes(C1), True))
    assert [type(output) for output in outputs] == [Changed, Present, Moved, Persisting]


@pytest.mark.parametrize("code", [3, 4, 11, 4096])
def test_a_server_that_cannot_tell_makes_everything_old(code: int) -> None:
    for phases in (begun(), persisting()):
        outputs = run(phases, SearchDone(2, code, "why", None))
        assert isinstance(outputs[0], AgeAll)
        assert outputs[1:] == [Ended(code, "why")]


@pytest.mark.parametrize("event", [SearchDone(2, 52, "bye", None), Disconnection(52, "bye")])
def test_a_search_that_ends_makes_nothing_old(event: Any) -> None:
    phases = persisting()
    assert run(phases, event) == [Ended(52, "bye")]
    assert phases.stage is Stage.ENDED
    assert run(phases, entry(State.ADD), event) in ([], [Ended(52, "bye")])


def test_what_became_a_referral_object_is_gone() -> None:
    phases = persisting()
    assert run(phases, SearchReference(2, SyncState(State.MODIFY, UUID_A, bytes(C2)))) == [
        Deleted(UUID_A, ""),
        Moved(C2),
    ]
    assert run(phases, SearchReference(2, SyncState(State.PRESENT, UUID_A, None)), SearchReference(2, None)) == []


def test_messages_of_other_searches_say_nothing() -> None:
    assert run(begun(), entry(State.ADD, message=9), SearchDone(9, 0, "", None)) == []


def test_a_server_that_does_not_do_rfc_4533_is_found_out() -> None:
    with pytest.raises(BadMessage, match="Sync State"):
        run(begun(), SearchEntry(2, "o=x", {}, None))
    with pytest.raises(BadMessage, match="cookie"):
        run(begun(), NewCookie(2, b"cn=something else"))


def test_a_change_that_was_not_reported_shows_at_the_second_check() -> None:
    phases = persisting()
    assert phases.compare(C1) == []
    assert phases.compare(C2) == []
    assert [type(output) for output in phases.compare(C3)] == [AgeAll, Moved]
    # What the first check found is missing; what the second did may still be on its way.
    assert run(phases, NewCookie(2, bytes(C2))) == []
    assert run(phases, NewCookie(2, bytes(C3))) == [Moved(C3)]
    assert phases.compare(C3) == []


def test_a_stream_that_lags_misses_nothing() -> None:
    phases = persisting()
    assert phases.compare(C3) == []
    run(phases, NewCookie(2, bytes(C2)))
    assert phases.compare(C3) == []
    run(phases, NewCookie(2, bytes(C3)))
    assert phases.compare(C3) == []


def test_in_a_refresh_nothing_is_missed() -> None:
    phases = begun()
    assert [phases.compare(C3) for _ in range(3)] == [[], [], []]


def test_more_entries_than_can_be_kept_make_everything_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync_phases, "MAX_PRESENT", 2)
    phases = begun()
    outputs = run(phases, SyncIdSet(2, None, False, (UUID_A, UUID_B, bytes(16))), entry(State.PRESENT))
    assert outputs == []
    outputs = run(phases, RefreshPresent(2, bytes(C2), True))
    assert isinstance(outputs[0], AgeAll)


def test_what_slapd_sent_is_understood() -> None:
    events = [event for _, event in RECORDED.values()]
    phases = SyncPhases(2, C1)
    assert [type(output) for output in run(phases, *events) if type(output) is not Changed] == [
        Deleted,
        Present,
        Moved,
        Persisting,
        Deleted,
        Ended,
    ]


@pytest.mark.slow
def test_a_set_of_uuids_takes_little_more_than_their_bytes() -> None:
    some = [uuid.uuid4().bytes for _ in range(50_000)]
    tracemalloc.start()
    kept = UuidSet()
    for one in some:
        kept.add(one)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(kept) == 50_000
    assert all(one in kept for one in some)
    assert not any(uuid.uuid4().bytes in kept for _ in range(1000))
    assert size < 50_000 * 30
    assert size < sys.getsizeof(set(some)) + sum(map(sys.getsizeof, some))


def test_a_set_of_uuids_finds_whole_ones_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vmaild.directory.uuid_set.BUCKETS", 1)
    kept = UuidSet()
    kept.add(b"a" * 8 + b"b" * 8)
    kept.add(b"c" * 8 + b"d" * 8)
    assert b"b" * 8 + b"c" * 8 not in kept
    assert b"c" * 8 + b"d" * 8 in kept
    kept.add(b"b" * 8 + b"c" * 8)
    assert b"b" * 8 + b"c" * 8 in kept
    assert b"a" not in kept
    with pytest.raises(ValueError, match="entryUUID"):
        kept.add(b"short")
