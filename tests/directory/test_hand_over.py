"""Giving free connections to the searches that wait, also after the process stood still for longer than they may."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from typing import Any

from tests.directory.rig import SETTINGS, by_mail, until
from tests.support.loops import on_each_loop
from vmaild.directory import Ended, Pool
from vmaild.errors import DirectoryFailure

MANY = 1000


@on_each_loop
async def test_many_whose_time_is_over_when_a_connection_is_free_all_fail_in_time_and_the_pool_goes_on(
    slapd: Any,
) -> None:
    """Each of them was begun inside the end of the one before, until Python's stack was full."""
    settings = dataclasses.replace(SETTINGS, uri=(slapd.uri,), pool_size=1, max_waiting=MANY, check_interval=30.0)
    directory = Pool(settings)
    await directory.start()
    try:
        await until(lambda: directory.status().servers[0].connections == 1)
        loop = asyncio.get_running_loop()
        ended: list[Ended] = []
        directory.begin(by_mail("user1@domain1.example"), loop.time() + 60, ended.append)
        for _ in range(MANY):
            directory.begin(by_mail("user1@domain1.example"), loop.time() + 0.05, ended.append)
        assert directory.waiting == MANY
        time.sleep(0.2)  # noqa: ASYNC251 - nothing else runs
        await until(lambda: len(ended) == MANY + 1)
        failures = [how for how in ended if isinstance(how, DirectoryFailure)]
        assert [failure.kind for failure in failures] == ["timeout"] * MANY
        assert directory.waiting == 0
        assert directory.status().servers[0].in_use == 0
        assert await directory.search(by_mail("user1@domain1.example"))
    finally:
        await directory.close()
