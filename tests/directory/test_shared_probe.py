"""One probe serves all who need its outcome; with a clock of the test's own."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.loops import on_each_loop
from vmaild.directory import RENEWAL, TRUST, SharedProbe
from vmaild.errors import DirectoryFailure


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Rig:
    """A probe that ends when its gate is opened, with ``failure`` if there is one."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.probe = SharedProbe(self.clock)
        self.gate = asyncio.Event()
        self.failure: Exception | None = None
        self.begun = 0

    async def run(self) -> None:
        began = self.clock()
        self.begun += 1
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        self.probe.good(began)


async def turns(count: int = 3) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


@on_each_loop
async def test_nothing_is_trusted_before_the_first_good_probe() -> None:
    rig = Rig()
    assert (rig.probe.trusted, rig.probe.due) == (False, True)
    rig.probe.begin(rig.run())
    await turns()
    assert (rig.probe.trusted, rig.probe.due) == (False, False), "one at a time"
    rig.gate.set()
    await rig.probe.outcome()
    assert (rig.probe.trusted, rig.probe.due) == (True, False)


@on_each_loop
async def test_a_good_probe_is_renewed_before_it_is_no_longer_trusted() -> None:
    rig = Rig()
    rig.probe.good(100.0)
    for age, trusted, due in (
        (RENEWAL, True, False),
        (RENEWAL + 0.01, True, True),
        (TRUST, True, True),
        (TRUST + 0.01, False, True),
    ):
        rig.clock.now = 100.0 + age
        assert (rig.probe.trusted, rig.probe.due) == (trusted, due)


@on_each_loop
async def test_a_probe_counts_from_its_beginning_and_an_earlier_one_takes_nothing_back() -> None:
    rig = Rig()
    rig.probe.begin(rig.run())
    await turns()
    rig.clock.now += TRUST + 0.01
    rig.gate.set()
    await rig.probe.outcome()
    assert not rig.probe.trusted, "what it saw is too old by now"
    rig.probe.good(rig.clock.now)
    rig.probe.good(50.0)
    assert rig.probe.trusted
    rig.probe.forget()
    assert (rig.probe.trusted, rig.probe.due) == (False, True)


@on_each_loop
async def test_all_who_wait_share_the_failure_and_the_next_may_begin_another() -> None:
    rig = Rig()
    rig.failure = DirectoryFailure("down")
    rig.probe.begin(rig.run())
    waiting = [asyncio.create_task(rig.probe.outcome()) for _ in range(3)]
    await turns()
    rig.gate.set()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert outcomes == [rig.failure] * 3
    assert (rig.probe.trusted, rig.probe.due) == (False, True)
    assert rig.begun == 1


@on_each_loop
async def test_one_that_is_cancelled_leaves_the_probe_to_the_others() -> None:
    rig = Rig()
    rig.probe.begin(rig.run())
    first, second = (asyncio.create_task(rig.probe.outcome()) for _ in range(2))
    await turns()
    first.cancel()
    await turns()
    rig.gate.set()
    await second
    with pytest.raises(asyncio.CancelledError):
        await first
    assert rig.probe.trusted


@on_each_loop
async def test_a_failure_that_nobody_waits_for_is_no_complaint_of_the_loop() -> None:
    rig = Rig()
    unseen: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unseen.append(context))
    rig.failure = DirectoryFailure("down")
    rig.gate.set()
    rig.probe.begin(rig.run())
    await turns(5)
    assert unseen == []
    assert rig.probe.due


@on_each_loop
async def test_closing_ends_the_probe_in_flight() -> None:
    rig = Rig()
    await rig.probe.close()
    task = rig.probe.begin(rig.run())
    await turns()
    await rig.probe.close()
    assert task.cancelled()
    await rig.probe.close()
