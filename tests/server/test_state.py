"""Each row of the table of transitions in ``vmaild.server.state``, and the share of a turn, on a transport of paper."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.server.conftest import FakeLookups, ask, ok
from tests.server.paper import PaperTransport
from vmaild.lookup import found
from vmaild.server.connection import SHARE
from vmaild.server.context import Context
from vmaild.server.dialect import SOCKETMAP
from vmaild.server.hot_path import HotConnection
from vmaild.server.recent import Recent
from vmaild.server.state import BUSY, CLOSED, ENDING, FINISHING, FULL, READY, TIMED, State

PIPELINED = 4
BAD = b"hello"


class Rig:
    """One connection over a transport of paper."""

    def __init__(self, max_connections: int = 10, max_pipelined: int = PIPELINED) -> None:
        self.lookups = FakeLookups()
        self.context = Context(
            self.lookups, self.lookups.cache.clock, max_connections=max_connections, max_pipelined=max_pipelined
        )
        self.recent = Recent()
        self.connection, self.transport = self.connect()

    def connect(self) -> tuple[HotConnection, PaperTransport]:
        connection, transport = HotConnection(self.context, SOCKETMAP, self.recent), PaperTransport()
        transport.protocol = connection
        connection.connection_made(transport)
        return connection, transport

    def receive(self, data: bytes) -> None:
        assert self.transport.reading, "nothing comes while reading is paused"
        self.connection.data_received(data)

    def open_gates(self, *keys: bytes) -> None:
        for key in keys:
            self.lookups.gate(key).set()

    def remember(self) -> None:
        """Let the request for ``cached`` take the hot path, and forget that it was asked."""
        self.lookups.store(b"map cached", found(b"c"))
        self.receive(ask(b"cached"))
        self.transport.sent = b""
        assert self.recent.get(ask(b"cached")) is not None

    @property
    def state(self) -> State:
        return self.connection._state

    def now(self, state: State, sent: bytes = b"") -> None:
        """What the connection has come to, and what it has sent since the last time."""
        assert self.state is state
        assert self.transport.sent == sent
        self.transport.sent = b""


@pytest.fixture
async def rig() -> Rig:
    return Rig()


def slow(count: int) -> bytes:
    return b"".join(ask(b"slow%d" % number) for number in range(count))


def into_ready(rig: Rig) -> None:
    rig.now(READY)


def into_timed(rig: Rig) -> None:
    rig.connection.time_next()
    rig.now(TIMED)


def into_busy(rig: Rig) -> None:
    rig.receive(slow(1))
    rig.now(BUSY)


def into_part(rig: Rig) -> None:
    rig.receive(ask(b"x")[:-1])
    rig.now(BUSY)


def into_full(rig: Rig) -> None:
    rig.receive(slow(PIPELINED))
    rig.now(FULL)
    assert not rig.transport.reading


def into_unread(rig: Rig) -> None:
    rig.connection.pause_writing()
    rig.now(FULL)


def into_finishing(rig: Rig) -> None:
    """Replies are pending, and not all that came is taken up."""
    rig.receive(slow(PIPELINED + 2))
    rig.connection.eof_received()
    rig.now(FINISHING)


def into_ending(rig: Rig) -> None:
    rig.receive(slow(2) + BAD)
    rig.now(ENDING)


def into_closed(rig: Rig) -> None:
    rig.receive(slow(1))
    rig.connection.connection_lost(None)
    rig.now(CLOSED)


WAYS = [into_ready, into_timed, into_busy, into_part, into_full, into_unread, into_finishing, into_ending, into_closed]


async def test_a_new_connection_is_ready(rig: Rig) -> None:
    rig.now(READY)
    assert rig.transport.reading


async def test_one_connection_too_many_is_closed() -> None:
    rig = Rig(max_connections=1)
    connection, transport = rig.connect()
    assert (connection._state, transport.ended) == (CLOSED, "aborted")
    connection.connection_lost(None)
    assert rig.context.connections == {rig.connection}


# --- a request that is remembered ----------------------------------------------------------------------------------


async def test_one_that_is_gone_asks_its_transport_nothing_when_other_lookups_take_over(rig: Rig) -> None:
    """Seen in a soak: uvloop knew the address no longer, and half of a reload was done."""
    rig.receive(ask(b"slow"))
    rig.connection.connection_lost(None)
    assert rig.connection in rig.context.connections, "its lookup is under way"

    def gone(name: str, default: object = None) -> object:
        raise ValueError("negative file descriptor")

    rig.transport.get_extra_info = gone
    others = FakeLookups()
    rig.context.ask(others)
    assert rig.context.lookups is others
    rig.open_gates(b"slow")


async def test_a_request_that_is_remembered_leaves_it_ready(rig: Rig) -> None:
    rig.remember()
    sought = rig.lookups.sought
    rig.receive(ask(b"cached"))
    rig.now(READY, ok(b"c"))
    assert rig.lookups.sought == sought


async def test_a_timed_request_that_is_remembered_is_timed_once(rig: Rig) -> None:
    rig.remember()
    into_timed(rig)
    for _ in range(3):
        rig.receive(ask(b"cached"))
        rig.now(READY, ok(b"c"))
    assert sum(rig.context.cached_latency.counts) == 1
    assert rig.lookups.sought == 1


async def test_a_timed_request_that_must_wait_is_not_taken_for_a_cached_one(rig: Rig) -> None:
    into_timed(rig)
    rig.receive(slow(1))
    rig.now(BUSY)
    rig.open_gates(b"slow0")
    rig.now(READY, ok(b"v:slow0"))
    assert sum(rig.context.cached_latency.counts) == 0
    assert sum(rig.context.lookup_latency.counts) == 1


async def test_only_a_ready_connection_is_timed(rig: Rig) -> None:
    into_busy(rig)
    rig.connection.time_next()
    rig.now(BUSY)


async def test_a_remembered_request_that_comes_behind_a_pending_one_waits(rig: Rig) -> None:
    rig.remember()
    into_busy(rig)
    rig.receive(ask(b"cached"))
    rig.now(BUSY)
    rig.open_gates(b"slow0")
    rig.now(READY, ok(b"v:slow0") + ok(b"c"))


# --- other bytes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("into", [into_ready, into_timed])
@pytest.mark.parametrize(
    ("data", "state", "sent"),
    [
        (ask(b"now"), READY, ok(b"v:now")),
        (ask(b"now") * 2, READY, ok(b"v:now") * 2),
        (slow(1), BUSY, b""),
        (slow(1)[:5], BUSY, b""),
        (ask(b"now") + slow(1)[:5], BUSY, ok(b"v:now")),
        (slow(PIPELINED - 1) + ask(b"x")[:5], BUSY, b""),
        (slow(PIPELINED), FULL, b""),
        (slow(PIPELINED + 2), FULL, b""),
        (ask(b"now") + slow(1) + ask(b"now"), BUSY, ok(b"v:now")),
    ],
)
async def test_other_bytes_make_it_busy_or_full_or_leave_it_ready_when_all_is_answered(
    rig: Rig, into: Any, data: Any, state: Any, sent: Any
) -> None:
    into(rig)
    rig.receive(data)
    rig.now(state, sent)
    assert rig.transport.reading == (state is not FULL)


async def test_a_busy_connection_takes_up_more_until_it_is_full(rig: Rig) -> None:
    into_busy(rig)
    for number in range(1, PIPELINED):
        rig.receive(ask(b"slow%d" % number))
        rig.now(BUSY if number < PIPELINED - 1 else FULL)
    assert not rig.transport.reading


async def test_the_rest_of_a_request_makes_it_ready_again(rig: Rig) -> None:
    into_part(rig)
    rig.connection.data_received(ask(b"x")[-1:])
    rig.now(BUSY)
    await asyncio.sleep(0)
    rig.now(READY, ok(b"v:x"))


# --- a reply is there -------------------------------------------------------------------------------------------------


async def test_a_reply_leaves_it_busy_while_others_or_a_part_of_a_request_are_there(rig: Rig) -> None:
    rig.receive(slow(3))
    rig.open_gates(b"slow0")
    rig.now(BUSY, ok(b"v:slow0"))
    rig.receive(ask(b"x")[:4])
    rig.open_gates(b"slow1", b"slow2")
    rig.now(BUSY, ok(b"v:slow1") + ok(b"v:slow2"))


async def test_the_only_reply_makes_it_ready(rig: Rig) -> None:
    into_busy(rig)
    rig.open_gates(b"slow0")
    rig.now(READY, ok(b"v:slow0"))


async def test_a_reply_behind_one_that_is_pending_leaves_it_full(rig: Rig) -> None:
    into_full(rig)
    rig.open_gates(b"slow1")
    rig.now(FULL)
    rig.open_gates(b"slow0")
    rig.now(BUSY, ok(b"v:slow0") + ok(b"v:slow1"))
    assert rig.transport.reading


async def test_a_reply_leaves_it_full_while_more_has_come_than_there_is_room_for(rig: Rig) -> None:
    rig.receive(slow(PIPELINED + 1))
    rig.open_gates(b"slow0")
    rig.now(FULL, ok(b"v:slow0"))
    assert not rig.transport.reading
    rig.open_gates(*[b"slow%d" % number for number in range(1, PIPELINED + 1)])
    rig.now(READY, b"".join(ok(b"v:slow%d" % number) for number in range(1, PIPELINED + 1)))
    assert rig.transport.reading


# --- the client does not read, and reads again -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("into", "after"),
    [(into_ready, READY), (into_timed, READY), (into_busy, BUSY), (into_part, BUSY), (into_full, FULL)],
)
async def test_a_client_that_does_not_read_makes_it_full_until_it_reads_again(rig: Rig, into: Any, after: Any) -> None:
    into(rig)
    rig.connection.pause_writing()
    rig.now(FULL)
    assert not rig.transport.reading
    rig.connection.resume_writing()
    rig.now(after)
    assert rig.transport.reading == (after is not FULL)


async def test_a_reply_on_the_hot_path_that_fills_the_transport_makes_it_full(rig: Rig) -> None:
    rig.remember()
    rig.transport.full_after = 0
    rig.receive(ask(b"cached"))
    rig.now(FULL, ok(b"c"))
    rig.connection.resume_writing()
    rig.now(READY)


async def test_what_is_already_there_is_not_taken_up_for_a_client_that_does_not_read(rig: Rig) -> None:
    rig.transport.full_after = 0
    rig.receive(ask(b"now") * 3 * PIPELINED)
    rig.now(FULL, ok(b"v:now") * PIPELINED)
    rig.connection.resume_writing()
    rig.now(READY, ok(b"v:now") * 2 * PIPELINED)


async def test_a_reply_for_a_client_that_does_not_read_leaves_it_full(rig: Rig) -> None:
    into_busy(rig)
    rig.connection.pause_writing()
    rig.open_gates(b"slow0")
    assert rig.state is FULL
    rig.connection.resume_writing()
    rig.now(READY, ok(b"v:slow0"))


# --- the share of a turn ---------------------------------------------------------------------------------------------


async def test_a_connection_that_pipelines_without_end_leaves_the_others_their_turn() -> None:
    rig = Rig(max_pipelined=10 * SHARE)
    other, other_transport = rig.connect()
    rounds = 10
    rig.receive(ask(b"now") * rounds * SHARE)
    for turn in range(1, rounds + 1):
        assert len(rig.lookups.asked) == turn * SHARE
        assert (rig.state, rig.transport.reading) == (FULL, False)
        asked = ask(b"now%d" % turn)
        other.data_received(asked)
        assert other_transport.sent.endswith(ok(b"v:now%d" % turn))
        rig.lookups.asked.pop()
        await asyncio.sleep(0)
    rig.now(READY, ok(b"v:now") * rounds * SHARE)
    assert rig.transport.reading


async def test_replies_and_a_client_that_reads_again_bring_no_second_share_in_a_turn() -> None:
    rig = Rig(max_pipelined=10 * SHARE)
    rig.receive(slow(5) + ask(b"now") * 10 * SHARE)
    for turn in range(1, 6):
        taken = turn * SHARE
        assert len(rig.lookups.asked) == taken
        rig.open_gates(b"slow%d" % (turn - 1))
        rig.connection.pause_writing()
        rig.connection.resume_writing()
        assert len(rig.lookups.asked) == taken
        assert not rig.transport.reading
        await asyncio.sleep(0)


async def test_a_reply_is_sent_in_a_turn_whose_share_is_used_up() -> None:
    rig = Rig(max_pipelined=10 * SHARE)
    rig.receive(slow(1) + ask(b"now") * 2 * SHARE)
    rig.now(FULL)
    rig.open_gates(b"slow0")
    rig.now(FULL, ok(b"v:slow0") + ok(b"v:now") * (SHARE - 1))


async def test_what_has_come_before_the_last_byte_is_taken_up_share_by_share() -> None:
    rig = Rig(max_pipelined=10 * SHARE)
    rig.receive(ask(b"now") * 3 * SHARE)
    rig.connection.eof_received()
    for turn in range(1, 4):
        assert len(rig.lookups.asked) == turn * SHARE
        assert rig.state is FINISHING
        await asyncio.sleep(0)
    rig.now(ENDING, ok(b"v:now") * 3 * SHARE)
    assert rig.transport.ended == "closed"


async def test_a_connection_that_is_lost_between_two_turns_takes_up_no_more() -> None:
    rig = Rig(max_pipelined=10 * SHARE)
    rig.receive(ask(b"now") * 3 * SHARE)
    rig.connection.connection_lost(None)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert rig.state is CLOSED
    assert len(rig.lookups.asked) == SHARE
    assert not rig.context.connections


# --- the end ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [HotConnection.eof_received, HotConnection.finish])
@pytest.mark.parametrize("into", [into_ready, into_timed, into_part])
async def test_the_last_byte_or_a_stop_ends_it_when_nothing_is_pending(rig: Rig, into: Any, end: Any) -> None:
    into(rig)
    end(rig.connection)
    rig.now(ENDING)
    assert rig.transport.ended == "closed"


@pytest.mark.parametrize("end", [HotConnection.eof_received, HotConnection.finish])
async def test_a_busy_connection_is_answered_before_it_ends(rig: Rig, end: Any) -> None:
    into_busy(rig)
    end(rig.connection)
    rig.now(ENDING)
    assert not rig.transport.ended
    rig.open_gates(b"slow0")
    rig.now(ENDING, ok(b"v:slow0"))
    assert rig.transport.ended == "closed"


async def test_all_that_has_come_is_answered_before_the_end(rig: Rig) -> None:
    into_finishing(rig)
    assert not rig.transport.reading
    rig.open_gates(b"slow0")
    rig.now(FINISHING, ok(b"v:slow0"))
    rig.open_gates(*[b"slow%d" % number for number in range(1, 5)])
    rig.now(ENDING, b"".join(ok(b"v:slow%d" % number) for number in range(1, 5)))
    assert not rig.transport.ended
    rig.open_gates(b"slow5")
    rig.now(ENDING, ok(b"v:slow5"))
    assert rig.transport.ended == "closed"


async def test_a_client_that_has_sent_its_last_byte_and_does_not_read_is_answered_when_it_reads(rig: Rig) -> None:
    rig.receive(slow(1) + ask(b"now"))
    rig.connection.pause_writing()
    rig.connection.eof_received()
    rig.now(FINISHING)
    rig.open_gates(b"slow0")
    rig.now(FINISHING, ok(b"v:slow0") + ok(b"v:now"))
    rig.connection.resume_writing()
    rig.now(ENDING)
    assert rig.transport.ended == "closed"


async def test_what_comes_after_a_stop_is_thrown_away(rig: Rig) -> None:
    into_busy(rig)
    rig.connection.finish()
    rig.now(ENDING)
    for _ in range(100):
        rig.receive(ask(b"now") * 100)
    assert rig.connection._requests.empty, "nothing is kept of it"
    rig.open_gates(b"slow0")
    rig.now(ENDING, ok(b"v:slow0"))


@pytest.mark.parametrize(
    ("into", "pending"),
    [(into_ready, []), (into_timed, []), (into_busy, [b"slow0"])],
)
async def test_bytes_that_are_no_request_end_it_after_the_replies_that_are_pending(
    rig: Rig, into: Any, pending: Any
) -> None:
    into(rig)
    rig.receive(ask(b"now") + BAD + ask(b"never"))
    assert rig.state is ENDING
    assert (rig.transport.ended == "closed") == (not pending)
    rig.open_gates(*pending)
    rig.now(ENDING, b"".join(ok(b"v:" + key) for key in [*pending, b"now"]))
    assert rig.transport.ended == "closed"
    assert rig.context.counters.protocol_errors == 1
    assert b"never" not in {request.key for request in rig.lookups.asked}


async def test_bytes_that_are_no_request_are_met_by_a_full_connection_when_it_gets_there(rig: Rig) -> None:
    rig.receive(slow(PIPELINED) + BAD)
    rig.now(FULL)
    rig.open_gates(b"slow0")
    rig.now(ENDING, ok(b"v:slow0"))
    assert rig.transport.reading, "the rest is read and thrown away"


async def test_bytes_that_are_no_request_are_met_by_a_finishing_connection_too(rig: Rig) -> None:
    rig.receive(slow(PIPELINED) + BAD)
    rig.connection.eof_received()
    rig.now(FINISHING)
    rig.open_gates(b"slow0")
    rig.now(ENDING, ok(b"v:slow0"))
    assert rig.context.counters.protocol_errors == 1


async def test_an_ending_connection_throws_away_what_comes_and_heeds_no_second_end(rig: Rig) -> None:
    into_ending(rig)
    rig.receive(ask(b"now") + BAD)
    rig.connection.eof_received()
    rig.connection.finish()
    rig.connection.time_next()
    rig.now(ENDING)
    rig.connection.pause_writing()
    rig.connection.resume_writing()
    rig.open_gates(b"slow0")
    rig.now(ENDING, ok(b"v:slow0"))
    assert not rig.transport.ended
    rig.open_gates(b"slow1")
    rig.now(ENDING, ok(b"v:slow1"))
    assert rig.transport.ended == "closed"
    assert rig.context.counters.protocol_errors == 1


@pytest.mark.parametrize("into", WAYS)
async def test_a_connection_that_is_lost_is_closed_and_leaves_when_its_lookups_have_ended(
    rig: Rig, into: Callable[[Rig], None]
) -> None:
    into(rig)
    rig.connection.connection_lost(None)
    rig.now(CLOSED)
    in_flight = [gate for gate in rig.lookups.gates.values() if gate.waiting]
    assert (rig.connection in rig.context.connections) == bool(in_flight)
    for gate in in_flight:
        gate.set()
    await asyncio.sleep(0)
    rig.now(CLOSED)
    assert rig.context.empty.is_set()


@pytest.mark.parametrize("into", WAYS)
async def test_an_aborted_connection_is_closed_and_sends_no_more(rig: Rig, into: Callable[[Rig], None]) -> None:
    into(rig)
    rig.connection.abort()
    rig.now(CLOSED)
    assert rig.transport.ended == "aborted"
    for gate in list(rig.lookups.gates.values()):
        gate.set()
    rig.connection.eof_received()
    rig.connection.finish()
    rig.connection.pause_writing()
    rig.connection.resume_writing()
    rig.connection.connection_lost(None)
    rig.now(CLOSED)
    assert rig.context.empty.is_set()


# --- order -----------------------------------------------------------------------------------------------------------


async def test_a_reply_that_comes_while_the_next_request_is_taken_up_does_not_change_the_order(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A search that cannot be sent may end others at once, and with them replies to the same client."""
    look_up = rig.lookups.look_up

    def ends_another(wanted: Any, tell: Any, peer: Any) -> None:
        look_up(wanted, tell, peer)
        if wanted.key == b"slow1":
            rig.open_gates(b"slow0")

    monkeypatch.setattr(rig.lookups, "look_up", ends_another)
    rig.receive(ask(b"slow0") + ask(b"slow1") + ask(b"now") + ask(b"slow2"))
    rig.open_gates(b"slow2", b"slow1")
    rig.now(READY, ok(b"v:slow0") + ok(b"v:slow1") + ok(b"v:now") + ok(b"v:slow2"))
