"""``python -m tests.soak.floods PORT``: attackers. Each line of standard input, ``KIND SECONDS``, is one flood.

Whatever a flood asks for has one right answer too, and TEMP is right for it at any time.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

import uvloop

from tests.soak import oracle
from tests.soak.client import connected
from tests.soak.tally import Tally


class Flood(NamedTuple):
    """``ask`` makes the questions; ``train`` of them go in one write, on each of ``connections``."""

    ask: Callable[[random.Random], oracle.Question]
    train: int = 20
    connections: int = 8


FLOODS = {
    "random recipients": Flood(oracle.random_recipient),
    "extensions": Flood(oracle.random_extension),
    "big catch-all": Flood(oracle.big_catch_all, train=4, connections=4),
    "long keys": Flood(oracle.long_key, train=10, connections=4),
    "endless pipelining": Flood(oracle.honest, train=5000, connections=2),
    "unknown maps": Flood(oracle.unknown_map, train=50),
    "huge entries": Flood(oracle.huge_entry, train=4, connections=4),
}


async def _attack(port: int, flood: Flood, rng: random.Random, end: float, tally: Tally) -> None:
    try:
        async with connected(port) as client:
            while time.monotonic() < end:
                await client.ask(tally, [flood.ask(rng) for _ in range(flood.train)])
    except (OSError, TimeoutError) as error:
        tally.counts[f"{type(error).__name__}"] += 1


async def _flood(port: int, kind: str, seconds: float) -> None:
    flood, tally, end = FLOODS[kind], Tally(), time.monotonic() + seconds
    seed = time.monotonic_ns()
    await asyncio.gather(
        *(_attack(port, flood, random.Random(seed + number), end, tally) for number in range(flood.connections))
    )
    tally.counts[f"{kind}: answers"] += tally.answers
    tally.counts[f"{kind}: TEMP"] += tally.temporary.total()
    tally.temporary.clear()
    tally.emit()


def main(port: int) -> None:
    for line in sys.stdin:
        kind, _, seconds = line.strip().rpartition(" ")
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_flood(port, kind, float(seconds)))


if __name__ == "__main__":
    main(int(sys.argv[1]))
