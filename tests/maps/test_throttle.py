"""A burst passes a few at a time, in its order, and other work gets its turn in between."""

from __future__ import annotations

import asyncio

from vmaild.maps.throttle import Throttle


async def test_a_burst_passes_a_few_in_each_turn_of_the_loop_in_order() -> None:
    throttle = Throttle(width=2)
    passed: list[int] = []
    in_a_turn: list[int] = []
    for number in range(7):
        throttle.run(lambda number=number: passed.append(number))
    assert passed == [0, 1], "the first do not wait"
    while len(passed) < 7:
        before = len(passed)
        await asyncio.sleep(0)
        in_a_turn.append(len(passed) - before)
    assert passed == list(range(7))
    assert max(in_a_turn) == 2


async def test_one_alone_does_not_wait() -> None:
    throttle = Throttle(width=1)
    passed: list[int] = []
    for number in range(3):
        throttle.run(lambda number=number: passed.append(number))
        assert passed[-1] == number
        await asyncio.sleep(0)
        await asyncio.sleep(0)


async def test_what_comes_while_others_wait_goes_behind_them() -> None:
    throttle = Throttle(width=1)
    passed: list[int] = []

    def first_of_more() -> None:
        passed.append(0)
        throttle.run(lambda: passed.append(2))

    throttle.run(lambda: None)
    throttle.run(first_of_more)
    throttle.run(lambda: passed.append(1))
    for _ in range(6):
        await asyncio.sleep(0)
    assert passed == [0, 1, 2]
