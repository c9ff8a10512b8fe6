"""``python -m tests.soak.churn PORT CLIENTS``: clients that come and go, good ones and bad ones, until it is ended.

Each session connects, behaves in one way, and ends; then another begins. All answers are judged.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys
import time

import uvloop

from tests.soak.client import connected, emitting, judge
from tests.soak.oracle import honest
from tests.soak.tally import Tally

BIG_TRAIN = 300
GARBAGE = (
    b"5:hello,",
    b"999999999:",
    b"-1:x,",
    b"+5:abcde,",
    b"000000:,",
    b"3:abc;",
    "٣:abc,".encode(),
    b"\0" * 64,
    b"GET / HTTP/1.0\r\n\r\n",
)


async def polite(port: int, rng: random.Random, tally: Tally) -> None:
    """As Postfix does: one request after the other."""
    async with connected(port) as client:
        for _ in range(rng.randrange(1, 30)):
            await client.ask(tally, [honest(rng)])
            await asyncio.sleep(rng.random() * 0.05)


async def pipelined(port: int, rng: random.Random, tally: Tally) -> None:
    """Many requests in one write."""
    async with connected(port) as client:
        await client.ask(tally, [honest(rng) for _ in range(rng.randrange(2, BIG_TRAIN))])


async def slow_reader(port: int, rng: random.Random, tally: Tally) -> None:
    """Many requests, and hardly an answer read."""
    async with connected(port, receive_buffer=4096) as client:
        questions = [honest(rng) for _ in range(BIG_TRAIN)]
        client.send(b"".join(question.wire for question in questions))
        await asyncio.sleep(rng.random() * 4)
        await client.judge(tally, questions, pause=0.005)


async def in_halves(port: int, rng: random.Random, tally: Tally) -> None:
    """A request in two pieces, the second of which may never come."""
    async with connected(port) as client:
        question = honest(rng)
        middle = rng.randrange(1, len(question.wire))
        client.send(question.wire[:middle])
        await asyncio.sleep(rng.random() * 2)
        if rng.random() < 0.5:
            client.send(question.wire[middle:])
            await client.judge(tally, [question])


async def garbage(port: int, rng: random.Random, tally: Tally) -> None:
    """No request at all: answered by the end of the connection and nothing else."""
    async with connected(port) as client:
        question = honest(rng)
        client.send(question.wire + rng.choice(GARBAGE))
        judge(tally, question, await client.reply(), client.asked)
        with contextlib.suppress(ConnectionError, TimeoutError):
            reply = await client.reply()
            tally.mistake(f"garbage was answered {reply}")


async def reset(port: int, rng: random.Random, tally: Tally) -> None:
    """Requests, and a RST before the answers."""
    async with connected(port) as client:
        client.send(b"".join(honest(rng).wire for _ in range(rng.randrange(1, 50))))
        await asyncio.sleep(rng.random() * 0.01)
        client.reset()


async def half_closed(port: int, rng: random.Random, tally: Tally) -> None:
    """Requests and the end of sending: all are answered."""
    async with connected(port) as client:
        questions = [honest(rng) for _ in range(rng.randrange(1, 50))]
        client.send(b"".join(question.wire for question in questions))
        client.writer.write_eof()
        await client.judge(tally, questions)


async def silent(port: int, rng: random.Random, tally: Tally) -> None:
    """A connection, and nothing on it for a while."""
    async with connected(port) as client:
        await asyncio.sleep(rng.random() * 5)
        await client.ask(tally, [honest(rng)])


WAYS = (polite, polite, polite, polite, pipelined, slow_reader, in_halves, garbage, reset, half_closed, silent)

SLOW = (in_halves, slow_reader)
"""The daemon has a deadline for these, which may be over while it is paused."""


async def _sessions(port: int, rng: random.Random, tally: Tally) -> None:
    while True:
        way = rng.choice(WAYS)
        tally.counts[way.__name__] += 1
        try:
            await way(port, rng, tally)
        except (OSError, TimeoutError) as error:
            if way in SLOW:
                tally.cut[str(int(time.monotonic()))] += 1
            else:
                tally.mistake(f"{way.__name__}: {error!r}")
        await asyncio.sleep(rng.random() * 0.5)


async def main(port: int, clients: int) -> None:
    tally = Tally()
    async with asyncio.TaskGroup() as group:
        group.create_task(emitting(tally))
        for number in range(clients):
            group.create_task(_sessions(port, random.Random(number), tally))


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(int(sys.argv[1]), int(sys.argv[2])))
