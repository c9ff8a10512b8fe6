"""Searches one after the other on several lines in this process: what a client of the directory can do by itself.

Run as a program it has bonsai's own asyncio pool as its client: ``... URI SLAPD_PID ACCOUNTS SECONDS CONNECTIONS``, and
prints JSON. That is a process of its own, because importing ``vmaild.directory`` changes what bonsai makes of an entry.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import Awaitable, Callable

import uvloop
from bonsai import LDAPClient
from bonsai.asyncio import AIOConnectionPool

from benchmarks.load.tally import Latencies
from benchmarks.report.rows import Figures
from benchmarks.site.population import address
from benchmarks.site.use import Meter
from vmaild.demo.tree import READER_DN, READER_PW, SEARCH_BASE

SUBTREE = 2


async def search_in_lines(
    ask: Callable[[str], Awaitable[object]], lines: int, accounts: int, seconds: float, slapd: int
) -> Figures:
    """Searches for accounts at random, on so many lines; ``ask`` must find each. ``slapd`` is its process id."""
    chance, latencies = random.Random(lines), Latencies()
    # slapd is this process's child, so that its family is not to be counted.
    meter, cpu, began = Meter({"slapd": slapd}), time.process_time(), time.monotonic_ns()

    async def line() -> None:
        now = began
        while now < began + seconds * 1e9:
            if not await ask(address(chance.randrange(accounts))):
                raise AssertionError("an account was not found")
            before, now = now, time.monotonic_ns()
            latencies.record(now - before)

    await asyncio.gather(*(line() for _ in range(lines)))
    rate, cpu = latencies.count / (time.monotonic_ns() - began) * 1e9, time.process_time() - cpu
    figures = {"rate": rate, "client_cpu": 1e3 * cpu / latencies.count}
    return {**figures, **meter.each(latencies.count), **latencies.summary()}


async def _bonsai(uri: str, slapd: int, accounts: int, seconds: float, connections: int) -> Figures:
    client = LDAPClient(uri)
    client.set_credentials("SIMPLE", READER_DN, READER_PW)
    client.set_raw_attributes(["mailbox"])
    pool = AIOConnectionPool(client, minconn=connections, maxconn=connections)
    await pool.open()

    async def ask(mail: str) -> object:
        async with pool.spawn() as connection:
            return await connection.search(SEARCH_BASE, SUBTREE, f"(mail={mail})", ["mailbox"])

    figures = await search_in_lines(ask, connections, accounts, seconds, slapd)
    await pool.close()
    return figures


if __name__ == "__main__":
    uri, slapd, accounts, seconds, connections = sys.argv[1:]
    print(json.dumps(uvloop.run(_bonsai(uri, int(slapd), int(accounts), float(seconds), int(connections)))))
