"""Searches one after the other on several lines in this process: what a client of the directory can do by itself."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

from benchmarks.load.tally import Latencies
from benchmarks.report.rows import Figures
from benchmarks.site.population import address
from benchmarks.site.use import cpu_seconds

Ask = Callable[[str], Awaitable[object]]
"""A search for the mail account of this address; false when it was not found."""


async def search_in_lines(ask: Ask, lines: int, accounts: int, seconds: float, slapd: int) -> Figures:
    """Searches for accounts at random, on so many lines; each must find its entry. ``slapd`` is its process id."""
    chance = random.Random(lines)
    latencies = Latencies()
    end = time.monotonic() + seconds

    async def line() -> None:
        now = time.monotonic_ns()
        while now < end * 1e9:
            if not await ask(address(chance.randrange(accounts))):
                raise AssertionError("an account was not found")
            before, now = now, time.monotonic_ns()
            latencies.record(now - before)

    began, cpu, other = time.monotonic(), time.process_time(), cpu_seconds(slapd)
    await asyncio.gather(*(line() for _ in range(lines)))
    elapsed, cpu, other = time.monotonic() - began, time.process_time() - cpu, cpu_seconds(slapd) - other
    count = latencies.count
    used = {"client_cpu": 1e3 * cpu / count, "cpu slapd": 1e3 * other / count}
    return {"rate": count / elapsed, **used, **latencies.summary()}
