"""When the benchmark asks: a clock of the tests' own, and connections that only write down what they are asked."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable
from itertools import repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.load.fleet import Fleet
from benchmarks.load.questions import Question
from benchmarks.load.tally import Tally, summary
from vmaild.lookup import NOT_FOUND, Reply, Status

MS = 1_000_000
FOUND = Reply(Status.FOUND, b"value")
QUESTION = Question(b"wire", b"key")


class FakeConnection:
    expires = math.inf

    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []

    def ask(self, question: Question, since: int, now: int) -> None:
        self.asked.append((since, now))


def fleet(
    rate: float = 0.0, start: int = 0, together: int = 1, questions: Iterable[Question] = repeat(QUESTION)
) -> Fleet:
    made = Fleet(argparse.Namespace(seed=1))
    made.tally = Tally(0)
    made.start(iter(questions), start, rate, together)
    return made


@given(
    st.floats(min_value=0.1, max_value=1e6),
    st.integers(min_value=0, max_value=2**50),
    st.integers(min_value=0, max_value=10**8),
)
def test_a_question_is_asked_when_its_time_has_come(rate: float, start: int, passed: int) -> None:
    loop, connection = fleet(rate, start), FakeConnection()
    now = start + min(passed, int(1e11 / rate))
    loop.ready(connection, start - 1)
    assert loop.tick(start - 1) == 0
    assert connection.asked == []
    while loop.tick(now):
        loop.ready(connection, now)
    dues = [since for since, _ in connection.asked]
    assert dues[0] == start
    assert dues[-1] <= now
    assert len(dues) == pytest.approx(1 + (now - start) * rate / 1e9, abs=1.1)


def test_an_open_loop_counts_latency_from_the_schedule() -> None:
    # 1,000 a second; the only connection is held up for 10 ms by a server that stalls.
    loop, connection = fleet(1000), FakeConnection()
    loop.ready(connection, 0)
    for now in range(1, 11):
        loop.tick(now * MS)
    assert connection.asked == [(0, 0)]

    loop.ready(connection, 10 * MS)
    since, now = connection.asked[-1]
    assert (since, now) == (1 * MS, 10 * MS)
    loop.tally.answer(QUESTION, FOUND, since, now)
    assert summary(loop.tally.latency)["max"] == pytest.approx(9, rel=0.001)


def test_an_open_loop_asks_all_that_is_due_and_no_more() -> None:
    loop, connections = fleet(1000, MS), [FakeConnection() for _ in range(5)]
    for connection in connections:
        loop.ready(connection, 0)
    assert loop.tick(3 * MS) == 0
    asked = sorted(asked for one in connections for asked in one.asked)
    assert asked == [(MS, 3 * MS), (2 * MS, 3 * MS), (3 * MS, 3 * MS)]


def test_an_open_loop_uses_the_connection_that_was_used_last() -> None:
    loop, idle, used = fleet(1000, MS), FakeConnection(), FakeConnection()
    loop.ready(idle, 0)
    loop.ready(used, 0)
    loop.tick(MS)
    assert used.asked
    assert not idle.asked


def test_an_open_loop_says_how_many_connections_it_lacks() -> None:
    assert fleet(1000).tick(3 * MS) == 4


def test_what_was_due_and_never_asked_counts_as_unanswered() -> None:
    loop = fleet(1000)
    loop.stop(3 * MS)
    assert sum(loop.tally.errors.values()) == 4
    assert summary(loop.tally.latency)["max"] == pytest.approx(3, rel=0.001)


def test_a_closed_connection_is_not_asked() -> None:
    loop, connection = fleet(1000, MS), FakeConnection()
    loop.ready(connection, 0)
    loop.lost(connection)
    loop.tick(MS)
    assert connection.asked == []


def test_a_closed_loop_asks_at_once_and_until_it_is_stopped() -> None:
    loop, connection = fleet(), FakeConnection()
    loop.ready(connection, 5)
    assert connection.asked == [(5, 5)]
    loop.stop(6)
    loop.ready(connection, 7)
    assert connection.asked == [(5, 5)]
    assert not loop.tally.errors


def test_a_closed_loop_ends_with_its_questions() -> None:
    loop, connection = fleet(questions=[QUESTION, QUESTION]), FakeConnection()
    for now in range(4):
        loop.ready(connection, now)
    assert connection.asked == [(0, 0), (1, 1)]
    assert loop.stopped


def test_in_lockstep_nobody_asks_before_all_are_ready() -> None:
    loop, first, second = fleet(together=2), FakeConnection(), FakeConnection()
    loop.ready(first, 1)
    assert first.asked == []
    loop.ready(second, 2)
    assert first.asked == second.asked == [(2, 2)]
    loop.ready(second, 3)
    assert second.asked == [(2, 2)]


def test_a_lost_connection_does_not_hold_up_the_others_twice() -> None:
    loop, (lost, first, second) = fleet(together=2), (FakeConnection(), FakeConnection(), FakeConnection())
    loop.ready(lost, 1)
    loop.lost(lost)
    loop.ready(first, 2)
    assert first.asked == []
    loop.ready(second, 3)
    assert (lost.asked, first.asked, second.asked) == ([], [(3, 3)], [(3, 3)])


def test_what_began_in_the_warm_up_does_not_count() -> None:
    tally = Tally(100)
    tally.answer(Question(b"wire", b"key", NOT_FOUND), FOUND, 99, 150)
    tally.error("timeout", 99, 150)
    assert (tally.answers, tally.wrong, dict(tally.errors), tally.latency.get_total_count()) == (0, 0, {}, 0)
