"""A burst of misses is begun a few at a time, in its order, and other work gets its turn in between."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from vmaild.cache import CacheCounters
from vmaild.config.maps import Common, read_maps
from vmaild.config.section import Problems
from vmaild.lookup import Search
from vmaild.maps import MapCounters
from vmaild.maps.flight import TURN, Flights, Waiter
from vmaild.maps.maps import Map

GROUP = read_maps("courier", {}, Common("o=x"), Problems("test")).groups[0]
DOMAINS = Map("virtual_mailbox_domains", GROUP, 0, b"0 ", MapCounters(), deque())


class Directory:
    """Says in which order searches came; answers none."""

    schema = None
    search_time = 0.0

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.and_then: dict[str, Callable[[], object]] = {}

    def begin(self, search: Search, end: float, done: Any) -> None:
        name = search.base.partition(",")[0].removeprefix("o=")
        self.asked.append(name)
        self.and_then.get(name, list)()


class Burst:
    def __init__(self, width: int) -> None:
        self.now = 0.0
        self.directory = Directory()
        self.flights = Flights(self.directory, lambda flight: None, CacheCounters(), lambda: self.now, width)

    def ask(self, number: int) -> None:
        self.flights.join(b"0 %d" % number, Waiter(DOMAINS, lambda reply: None, float("inf")), None)


async def test_a_burst_is_begun_a_few_in_each_turn_of_the_loop_in_order() -> None:
    burst = Burst(2)
    in_a_turn: list[int] = []
    for number in range(7):
        burst.ask(number)
    assert burst.directory.asked == ["0", "1"], "the first do not wait"
    while len(burst.directory.asked) < 7:
        before = len(burst.directory.asked)
        await asyncio.sleep(0)
        in_a_turn.append(len(burst.directory.asked) - before)
    assert burst.directory.asked == [str(number) for number in range(7)]
    assert max(in_a_turn) == 2


async def test_one_alone_does_not_wait() -> None:
    burst = Burst(1)
    for number in range(3):
        burst.ask(number)
        assert burst.directory.asked[-1] == str(number)
        burst.now += TURN


async def test_what_comes_while_others_wait_goes_behind_them() -> None:
    burst = Burst(1)
    burst.directory.and_then["1"] = lambda: burst.ask(3)
    for number in range(3):
        burst.ask(number)
    for _ in range(6):
        await asyncio.sleep(0)
    assert burst.directory.asked == ["0", "1", "2", "3"]


async def test_those_who_wait_for_their_turn_can_be_joined() -> None:
    burst = Burst(1)
    for number in (0, 1, 1):
        burst.ask(number)
    for _ in range(4):
        await asyncio.sleep(0)
    assert burst.directory.asked == ["0", "1"]
