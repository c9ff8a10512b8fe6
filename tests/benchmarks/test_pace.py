"""When the benchmark asks: a fake clock and connections that only write down what they are asked."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.load.pace import ClosedLoop, OpenLoop
from benchmarks.load.questions import Expected, Question
from benchmarks.load.tally import Tally
from vmaild.lookup import Reply, Status

MS = 1_000_000
FOUND = Reply(Status.FOUND, b"value")


class FakeConnection:
    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []

    def ask(self, question: Question, since: int, now: int) -> None:
        self.asked.append((since, now))


class EagerConnection(FakeConnection):
    """Has its answer at once."""

    loop: OpenLoop

    def ask(self, question: Question, since: int, now: int) -> None:
        super().ask(question, since, now)
        self.loop.idle.append(self)


def questions() -> Iterator[Question]:
    return repeat(Question(b"wire", b"key"))


@given(
    st.floats(min_value=0.1, max_value=1e6),
    st.integers(min_value=0, max_value=2**50),
    st.integers(min_value=0, max_value=10**8),
)
def test_a_question_is_asked_when_its_time_has_come(rate: float, start: int, passed: int) -> None:
    loop, connection = OpenLoop(questions(), rate, start), EagerConnection()
    connection.loop = loop
    now = start + min(passed, int(1e12 / rate))
    loop.ready(connection, now)
    assert connection.asked[0][0] == start
    assert connection.asked[-1][0] <= now < loop.due()
    assert all(since <= asked == now for since, asked in connection.asked)


def test_nothing_is_asked_before_the_start() -> None:
    loop, connection = OpenLoop(questions(), 1000, 5), FakeConnection()
    loop.ready(connection, 4)
    assert connection.asked == []


def test_an_open_loop_counts_latency_from_the_schedule() -> None:
    # 1,000 a second; the only connection is held up for 10 ms by a server that stalls.
    loop, connection, tally = OpenLoop(questions(), 1000, 0), FakeConnection(), Tally(0)
    loop.ready(connection, 0)
    for now in range(1, 11):
        loop.tick(now * MS)
    assert connection.asked == [(0, 0)]

    loop.ready(connection, 10 * MS)
    since, now = connection.asked[-1]
    assert (since, now) == (1 * MS, 10 * MS)
    tally.answer(next(questions()), FOUND, since, now)
    assert tally.latency.percentile(100) == pytest.approx(9, rel=0.001)


def test_an_open_loop_asks_all_that_is_due_and_no_more() -> None:
    loop = OpenLoop(questions(), 1000, 0)
    connections = [FakeConnection() for _ in range(5)]
    for connection in connections:
        loop.idle.append(connection)
    lacking = loop.tick(2 * MS)
    assert sorted(asked for one in connections for asked in one.asked) == [(0, 2 * MS), (MS, 2 * MS), (2 * MS, 2 * MS)]
    assert lacking == 0


def test_an_open_loop_uses_the_connection_that_was_used_last() -> None:
    loop = OpenLoop(questions(), 1000, MS)
    idle, used = FakeConnection(), FakeConnection()
    loop.ready(idle, 0)
    loop.ready(used, 0)
    loop.tick(MS)
    assert used.asked
    assert not idle.asked


def test_an_open_loop_says_how_many_connections_it_lacks() -> None:
    loop = OpenLoop(questions(), 1000, 0)
    assert loop.tick(3 * MS) == 4


def test_what_was_due_and_never_asked_counts_as_unanswered() -> None:
    loop, tally = OpenLoop(questions(), 1000, 0), Tally(0)
    loop.stop(tally, 3 * MS)
    assert sum(tally.errors.values()) == 4
    assert tally.latency.percentile(100) == pytest.approx(3, rel=0.001)


def test_a_closed_connection_is_not_asked() -> None:
    loop, connection = OpenLoop(questions(), 1000, MS), FakeConnection()
    loop.ready(connection, 0)
    loop.gone(connection)
    loop.tick(MS)
    assert connection.asked == []


def test_a_closed_loop_asks_at_once_and_until_it_is_stopped() -> None:
    loop, connection = ClosedLoop(questions()), FakeConnection()
    loop.ready(connection, 5)
    assert connection.asked == [(5, 5)]
    loop.stop(Tally(0), 6)
    loop.ready(connection, 7)
    assert connection.asked == [(5, 5)]


def test_a_closed_loop_ends_with_its_questions() -> None:
    keys = iter([Question(b"1", b"1"), Question(b"2", b"2")])
    loop, connection = ClosedLoop(keys), FakeConnection()
    for now in range(4):
        loop.ready(connection, now)
    assert connection.asked == [(0, 0), (1, 1)]
    assert loop.stopped


def test_in_lockstep_nobody_asks_before_all_are_ready() -> None:
    loop = ClosedLoop(questions(), 2)
    first, second = FakeConnection(), FakeConnection()
    loop.ready(first, 1)
    assert first.asked == []
    loop.ready(second, 2)
    assert first.asked == second.asked == [(2, 2)]
    loop.ready(second, 3)
    assert second.asked == [(2, 2)]


def test_a_lost_connection_does_not_hold_up_the_others_twice() -> None:
    loop = ClosedLoop(questions(), 2)
    lost, first, second = FakeConnection(), FakeConnection(), FakeConnection()
    loop.ready(lost, 1)
    loop.gone(lost)
    loop.ready(first, 2)
    assert first.asked == []
    loop.ready(second, 3)
    assert (lost.asked, first.asked, second.asked) == ([], [(3, 3)], [(3, 3)])


def test_what_began_in_the_warm_up_does_not_count() -> None:
    tally = Tally(100)
    tally.answer(Question(b"wire", b"key", Expected(Status.NOT_FOUND)), FOUND, 99, 150)
    tally.error("timeout", 99, 150)
    assert (tally.answers, tally.wrong, dict(tally.errors), tally.latency.count) == (0, 0, {}, 0)
