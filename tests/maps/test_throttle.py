"""A burst passes a few at a time, in its order, and other work gets its turn in between."""

from __future__ import annotations

import asyncio

from vmaild.maps.throttle import Throttle


async def test_a_burst_passes_a_few_in_each_turn_of_the_loop_in_order() -> None:
    throttle = Throttle(width=2)
    passed: list[int] = []
    in_a_turn: list[int] = []

    async def one(number: int) -> None:
        await throttle.turn()
        passed.append(number)

    tasks = [asyncio.create_task(one(number)) for number in range(7)]
    while len(passed) < 7:
        before = len(passed)
        await asyncio.sleep(0)
        in_a_turn.append(len(passed) - before)
    await asyncio.gather(*tasks)
    assert passed == list(range(7))
    assert max(in_a_turn) == 2


async def test_one_alone_does_not_wait() -> None:
    throttle = Throttle(width=1)
    for _ in range(3):
        steps = throttle.turn()
        try:
            steps.send(None)
        except StopIteration:
            pass
        else:
            raise AssertionError("it waited")
        await asyncio.sleep(0)
        await asyncio.sleep(0)


async def test_who_gave_up_takes_nobodys_turn() -> None:
    throttle = Throttle(width=1)
    await throttle.turn()
    tasks = [asyncio.create_task(throttle.turn()) for _ in range(3)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    await asyncio.wait_for(asyncio.gather(*tasks[1:]), 5)
