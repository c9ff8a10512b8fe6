"""What the process holds, as it tells of it."""

from __future__ import annotations

import asyncio
import os

from vmaild.process import resources_in_use


async def test_a_task_and_a_descriptor_that_are_held_are_counted() -> None:
    before = resources_in_use()
    task = asyncio.create_task(asyncio.sleep(60))
    ends = os.pipe()
    during = resources_in_use()
    task.cancel()
    for end in ends:
        os.close(end)
    assert during["tasks"] == before["tasks"] + 1
    assert during["descriptors"] == before["descriptors"] + 2
    assert during["resident"] > 1 << 20
    assert during["threads"] >= 1
