"""bonsai's own asyncio pool under the same load, for ``benchmarks.directory``: ``... URI PID ENTRIES SECONDS``.

A process of its own, because importing ``vmaild.directory`` changes what bonsai makes of an entry. Prints JSON.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time

import uvloop
from bonsai import LDAPClient
from bonsai.asyncio import AIOConnectionPool

from benchmarks.cpu import cpu_seconds
from benchmarks.population import address
from vmaild.demo.tree import READER_DN, READER_PW, SEARCH_BASE

CONNECTIONS = (1, 2, 4, 8, 16)
SUBTREE = 2


async def speed(uri: str, slapd: int, connections: int, entries: int, seconds: float) -> dict[str, float]:
    """As ``benchmarks.directory.measure``, without the percentile."""
    client = LDAPClient(uri)
    client.set_credentials("SIMPLE", READER_DN, READER_PW)
    client.set_raw_attributes(["mailbox"])
    pool = AIOConnectionPool(client, minconn=connections, maxconn=connections)
    await pool.open()
    chance = random.Random(connections)
    end = time.perf_counter() + seconds
    done = 0

    async def line() -> None:
        nonlocal done
        while time.perf_counter() < end:
            async with pool.spawn() as connection:
                mail = address(chance.randrange(entries))
                found = await connection.search(SEARCH_BASE, SUBTREE, f"(mail={mail})", ["mailbox"])
            if not found:
                raise AssertionError("an account was not found")
            done += 1

    began, cpu, other = time.perf_counter(), time.process_time(), cpu_seconds(slapd)
    await asyncio.gather(*(line() for _ in range(connections)))
    elapsed, cpu, other = time.perf_counter() - began, time.process_time() - cpu, cpu_seconds(slapd) - other
    await pool.close()
    return {
        "connections": connections,
        "per_second": done / elapsed,
        "cpu_us": cpu / done * 1e6,
        "slapd_us": other / done * 1e6,
    }


def main() -> None:
    """All pool sizes, one after the other."""
    uri, slapd, entries, seconds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    print(json.dumps([uvloop.run(speed(uri, slapd, connections, entries, seconds)) for connections in CONNECTIONS]))


if __name__ == "__main__":
    main()
