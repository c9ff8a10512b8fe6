"""Backoff, strikes, failover, failback and the queue: pure logic, with a clock of the test's own."""

from __future__ import annotations

import asyncio
import itertools
from types import SimpleNamespace
from typing import Any

import pytest

from tests.directory.rig import SETTINGS
from tests.support.loops import on_each_loop
from vmaild.directory.backoff import FIRST_PAUSE, LONGEST_PAUSE, SPREAD, STRIKES, Backoff, Strikes
from vmaild.directory.base_check import BaseCheck
from vmaild.directory.counters import Counters
from vmaild.directory.failover import GRACE, Standing, choose, hopeless, next_change
from vmaild.directory.pool import Pool
from vmaild.directory.shared_probe import RENEWAL, TRUST
from vmaild.directory.wait_queue import WaitQueue
from vmaild.errors import DirectoryFailure, Overloaded
from vmaild.lookup import Entry, Search

AFTER = 10.0


def middle() -> float:
    return 0.5


def test_pauses_double_up_to_the_longest() -> None:
    backoff = Backoff(chance=middle)
    pauses = []
    for _ in range(8):
        backoff.failed(100.0)
        pauses.append(round(backoff.pause(100.0), 6))
    assert pauses == [0.2, 0.4, *[0.7] * 6]
    backoff.failures = 10_000_000
    backoff.failed(100.0)
    assert backoff.pause(100.0) == pytest.approx(LONGEST_PAUSE)


@pytest.mark.parametrize(("chance", "factor"), [(0.0, 1 - SPREAD), (1.0, 1 + SPREAD)])
def test_a_pause_is_spread_by_chance(chance: float, factor: float) -> None:
    backoff = Backoff(chance=lambda: chance)
    backoff.failed(0.0)
    assert backoff.pause(0.0) == pytest.approx(FIRST_PAUSE * factor)


def test_a_failing_server_is_tried_once_at_a_time_and_a_well_one_is_filled() -> None:
    backoff = Backoff(chance=middle)
    assert backoff.allowed(0.0, missing=4, opening=1) == 3
    assert backoff.allowed(0.0, missing=1, opening=4) == 0
    backoff.failed(0.0)
    assert backoff.allowed(0.1, missing=4, opening=0) == 0
    assert backoff.allowed(0.3, missing=4, opening=0) == 1
    assert backoff.allowed(0.3, missing=4, opening=1) == 0
    assert backoff.allowed(0.3, missing=0, opening=0) == 0
    backoff.succeeded()
    assert backoff.allowed(0.3, missing=4, opening=0) == 4


def test_timeouts_in_a_row_take_a_server_out_and_an_answer_between_saves_it() -> None:
    strikes = Strikes()
    outcomes = [strikes.timed_out() for _ in range(STRIKES)]
    assert outcomes == [False] * (STRIKES - 1) + [True]
    strikes.clear()
    assert not strikes.timed_out()


def up(well_since: float = float("-inf")) -> Standing:
    return Standing(up=True, well_since=well_since)


def down() -> Standing:
    return Standing(failing=True)


@pytest.mark.parametrize(
    ("standings", "current", "expected"),
    [
        ([up(), up()], None, 0),
        ([down(), up()], None, 1),
        ([down(), down()], None, None),
        ([Standing(), up()], None, 1),
        ([down(), up()], 0, 1),
        ([up(well_since=95.0), up()], 1, 1),  # up for five seconds only
        ([up(well_since=90.0), up()], 1, 0),
        ([up(well_since=99.0), down()], 1, 0),  # better than nothing
        ([up(), up(well_since=99.0)], 0, 0),
        ([down(), up(well_since=85.0), up()], 2, 1),
        ([Standing(lost_at=100.0 - GRACE / 2), up()], 0, 0),  # on its way back
        ([Standing(lost_at=100.0 - GRACE), up()], 0, 1),
        ([Standing(lost_at=99.99, failing=True), up()], 0, 1),
    ],
)
def test_which_server_serves(standings: list[Standing], current: int | None, expected: int | None) -> None:
    assert choose(standings, current, 100.0, AFTER) == expected


def test_time_alone_changes_the_choice_when_next_change_says_so() -> None:
    standings = [up(well_since=95.0), up()]
    pause = next_change(standings, 1, 100.0, AFTER)
    assert pause == pytest.approx(5.0)
    assert choose(standings, 1, 100.0 + pause, AFTER) == 0  # type: ignore[operator]
    returning = [Standing(lost_at=99.9), up()]
    pause = next_change(returning, 0, 100.0, AFTER)
    assert pause == pytest.approx(GRACE - 0.1)
    assert choose(returning, 0, 100.0 + pause + 1e-6, AFTER) == 1  # type: ignore[operator]
    assert next_change([up(), up()], 0, 100.0, AFTER) is None
    assert next_change([down(), down()], None, 100.0, AFTER) is None


def test_there_is_no_hope_only_when_every_server_has_failed() -> None:
    assert hopeless([down(), down()])
    assert not hopeless([down(), Standing()])  # still connecting for the first time
    assert not hopeless([down(), up()])


def test_a_server_is_well_since_it_came_back_and_for_ever_at_the_start() -> None:
    standing = Standing()
    standing.went_up(5.0)
    assert standing.well_since == float("-inf")
    standing.went_up(6.0)
    standing.lost(10.0)
    standing.went_up(11.0)
    assert standing.well_since == 11.0
    standing.went_up(12.0)  # one more connection
    assert standing.well_since == 11.0
    standing.lost(13.0)
    standing.failed()
    standing.went_up(14.0)
    assert (standing.well_since, standing.failing) == (14.0, False)


@pytest.mark.parametrize(
    ("servers", "counted"),
    [
        ([1, 0], (0, 0)),  # they come up in any order at the start
        ([0, 1, 0], (1, 1)),  # the first was behind, or slow, and never down
        ([1, 0, 1, 0], (1, 1)),
    ],
)
def test_each_failover_and_failback_is_counted_but_for_those_of_the_start(
    servers: list[int], counted: tuple[int, int]
) -> None:
    pool = Pool(SETTINGS)
    pool._standings = [up(), up()]
    pool._servers = [SimpleNamespace(uri="ldap://one"), SimpleNamespace(uri="ldap://two")]
    for server in servers:
        pool._change_to(server)
    assert (pool.counters.failovers, pool.counters.failbacks) == counted


class Waiter:
    """A search in the queue."""

    def __init__(self, seconds: float) -> None:
        self.end = asyncio.get_running_loop().time() + seconds
        self.gone = False
        self.failed = asyncio.Event()
        self.failures: list[DirectoryFailure] = []

    def fail(self, failure: DirectoryFailure) -> None:
        self.failures.append(failure)
        self.failed.set()


def waiters(queue: WaitQueue[Waiter], *seconds: float) -> list[Waiter]:
    made = [Waiter(each) for each in seconds]
    for waiter in made:
        queue.join(waiter)
    return made


@on_each_loop
async def test_waiters_are_served_in_order_and_never_one_that_gave_up() -> None:
    queue: WaitQueue[Waiter] = WaitQueue(10)
    assert not queue
    first, second, third = waiters(queue, 5, 5, 5)
    first.gone = True
    assert (len(queue), bool(queue)) == (2, True)
    assert queue.next() is second
    assert queue.next() is third
    assert queue.next() is None
    assert not queue
    assert [waiter.failures for waiter in (first, second, third)] == [[], [], []]


@on_each_loop
async def test_waiting_ends_at_the_deadline() -> None:
    queue: WaitQueue[Waiter] = WaitQueue(10)
    (waiter,) = waiters(queue, 0.02)
    await waiter.failed.wait()
    # uvloop counts in milliseconds.
    assert asyncio.get_running_loop().time() >= waiter.end - 0.001
    assert [failure.kind for failure in waiter.failures] == ["timeout"]
    assert waiter.gone
    assert len(queue) == 0
    assert queue.next() is None


@on_each_loop
async def test_each_waits_to_its_own_deadline() -> None:
    queue: WaitQueue[Waiter] = WaitQueue(10)
    made = waiters(queue, 0.04, 0.02, 60, 0.06)
    await made[1].failed.wait()
    assert [waiter.failed.is_set() for waiter in made] == [False, True, False, False]
    await made[0].failed.wait()
    assert [waiter.failed.is_set() for waiter in made] == [True, True, False, False]
    assert queue.next() is made[2]
    await made[3].failed.wait()
    assert [len(waiter.failures) for waiter in made] == [1, 1, 0, 1]


@on_each_loop
async def test_the_bound_counts_only_those_who_still_wait() -> None:
    queue: WaitQueue[Waiter] = WaitQueue(2)
    first, second = waiters(queue, 5, 5)
    late = Waiter(5)
    with pytest.raises(Overloaded):
        queue.join(late)
    assert not late.failures, "it is the caller who is told"
    first.gone = True
    (third,) = waiters(queue, 5)
    gone = DirectoryFailure("gone")
    assert queue.fail(gone) == 2
    assert [waiter.failures for waiter in (first, second, third)] == [[], [gone], [gone]]
    assert not queue


@on_each_loop
async def test_one_that_fails_may_join_again_at_once() -> None:
    queue: WaitQueue[Waiter] = WaitQueue(2)

    class Stubborn(Waiter):
        def fail(self, failure: DirectoryFailure) -> None:
            super().fail(failure)
            queue.join(again)

    again = Waiter(5)
    queue.join(Stubborn(5))
    assert queue.fail(DirectoryFailure("gone")) == 1
    assert len(queue) == 1
    assert queue.next() is again


class Slow:
    """A connection whose one search ends when ``gate`` does."""

    def __init__(self) -> None:
        self.searches = 0
        self.gate = asyncio.Event()

    async def search(self, search: Search, end: float) -> list[Entry]:
        self.searches += 1
        await self.gate.wait()
        return [Entry(search.base, {})]

    def kill(self) -> None:
        raise AssertionError("nobody was cancelled")


@pytest.fixture
def trusted() -> Any:
    """A search base that was seen at 100.0, the clock to turn, and a slow connection."""

    async def at(age: float) -> tuple[BaseCheck, Slow]:
        now = [100.0]
        base_check = BaseCheck("o=x", Counters(), lambda why: None, lambda: now[0])
        seen = Slow()
        seen.gate.set()
        await base_check.check(seen, 0.0)
        now[0] += age
        return base_check, Slow()

    return at


@on_each_loop
async def test_an_empty_answer_is_trusted_without_a_probe_when_the_last_is_new(trusted: Any) -> None:
    base_check, connection = await trusted(RENEWAL)
    await base_check.confirm(connection, 0.0)
    assert connection.searches == 0


@on_each_loop
async def test_one_probes_again_while_the_others_still_trust(trusted: Any) -> None:
    base_check, connection = await trusted(RENEWAL + 0.01)
    first = asyncio.create_task(base_check.renew(connection, 0.0))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await base_check.confirm(Slow(), 0.0)  # would wait for ever
    await base_check.renew(Slow(), 0.0)
    assert (connection.searches, first.done()) == (1, False)
    connection.gate.set()
    await first


@on_each_loop
async def test_all_wait_for_one_probe_when_the_last_is_old(trusted: Any) -> None:
    base_check, connection = await trusted(TRUST + 0.01)
    end = asyncio.get_running_loop().time() + 5
    waiting = [asyncio.create_task(base_check.confirm(connection, end)) for _ in range(3)]
    for _ in range(3):
        await asyncio.sleep(0)
    assert not any(one.done() for one in waiting)
    connection.gate.set()
    await asyncio.gather(*waiting)
    assert connection.searches == 1


@pytest.mark.parametrize("chance", [0.0, 0.5, 1.0])
def test_a_server_that_is_back_is_tried_within_a_second_and_by_one_connection_at_a_time(chance: float) -> None:
    """However long it was away, and however many lookups and connections wait for it."""
    backoff, now, tries = Backoff(chance=lambda: chance), 0.0, []
    backoff.failed(now)
    while now < 300:
        assert backoff.allowed(now, missing=100, opening=1) == 0
        if backoff.allowed(now, missing=100, opening=0):
            assert backoff.allowed(now, missing=100, opening=0) == 1
            tries.append(now)
            backoff.failed(now)
        now += max(backoff.pause(now), 0.001)
    pauses = [after - before for before, after in itertools.pairwise(tries)]
    assert max(pauses) < 0.95
    assert len(tries) < 3 * 300
    backoff.succeeded()
    assert backoff.allowed(now, missing=4, opening=0) == 4
