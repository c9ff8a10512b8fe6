"""What the directory's tests share: a running Pool, a probe for loop stalls, and the lookups they make."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import gc
import os
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from vmaild.demo.tree import READER_DN, READER_PW, SEARCH_BASE
from vmaild.directory import DirectorySettings, Pool
from vmaild.errors import DirectoryFailure
from vmaild.lookup import Entry, Scope, Search

STALL = 0.1
"""Seconds: the longest that the loop may be held up."""

LATE = 0.5
"""Seconds past its deadline that an answer may take on a busy machine. The stall probe is the strict one."""

AT_ONCE = 0.5
"""Seconds, half of a lookup's deadline: an answer before this waited for no deadline, even on a busy machine."""

ADDRESS = "user1@domain1.example"
ABSENT = "nobody@domain1.example"

SETTINGS = DirectorySettings(
    uri=("ldap://127.0.0.1:1",),
    search_base=SEARCH_BASE,
    bind_dn=READER_DN,
    bind_pw=READER_PW,
    timeout=1.0,
    connect_timeout=0.5,
    pool_size=4,
    check_interval=0.5,
    failback_after=1.0,
)
"""The defaults' proportions, in shorter time."""


def by_mail(address: str, *attributes: str, base: str = SEARCH_BASE, size_limit: int = 0) -> Search:
    return Search(base, Scope.SUB, f"(mail={address})", attributes or ("mail", "mailbox"), size_limit)


class Stalls:
    """The longest time that the loop was held up: seconds, without the time that the machine gave to others.

    The test run's own objects are kept from the garbage collector during that, as the daemon keeps its own.
    """

    def __init__(self) -> None:
        self.longest = 0.0

    async def watch(self) -> None:
        gc.freeze()
        try:
            while True:
                before, waited = time.monotonic(), _given_to_others()
                await asyncio.sleep(0.005)
                late = time.monotonic() - before - 0.005 - (_given_to_others() - waited)
                self.longest = max(self.longest, late)
        finally:
            gc.unfreeze()


def _given_to_others() -> float:
    """Seconds that this thread was ready to run without a processor, and that the machine's host took from it.

    proc(5): the second field of ``schedstat``, and ``steal``, the eighth of ``stat``'s first line.
    """
    queued = int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9
    with Path("/proc/stat").open() as stat:
        stolen = int(stat.readline().split()[8]) / os.sysconf("SC_CLK_TCK")
    return queued + stolen


def descriptors() -> int:
    """How many this process has open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@contextlib.asynccontextmanager
async def running(*uris: str, ready: bool = True, **changes: object) -> AsyncIterator[Pool]:
    """A started Pool on ``uris``, with ``changes`` to ``SETTINGS``; waits until it is filled.

    Afterwards: the loop was never held up, no task is left, and no exception went unseen.
    """
    settings = dataclasses.replace(SETTINGS, uri=uris, **changes)
    loop = asyncio.get_running_loop()
    unseen: list[dict[str, object]] = []
    loop.set_exception_handler(lambda _, context: unseen.append(context))
    before = asyncio.all_tasks()
    stalls = Stalls()
    directory = Pool(settings)
    await directory.start()
    probe = asyncio.create_task(stalls.watch())
    try:
        if ready:
            await until(lambda: sum(s.connections for s in directory.status().servers) >= settings.pool_size)
        yield directory
    finally:
        await directory.close()
        probe.cancel()
        await asyncio.sleep(0.05)
    assert asyncio.all_tasks() - before <= {probe}
    assert unseen == [], unseen
    assert stalls.longest < STALL, f"the loop was held up for {stalls.longest:.3f} s"


async def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait for ``condition`` to come true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come true in time"
        await asyncio.sleep(0.01)


@dataclasses.dataclass
class Answer:
    """How one lookup went: its entries or the kind of its failure, and its seconds."""

    entries: list[Entry] | None
    kind: str
    seconds: float


async def ask(directory: Pool, search: Search | None = None, *, timeout: float = 1.0) -> Answer:
    """One lookup, which must keep its deadline whatever happens."""
    began = time.monotonic()
    deadline = asyncio.get_running_loop().time() + timeout
    try:
        entries, kind = await directory.search(search or by_mail(ADDRESS), deadline=deadline), ""
    except DirectoryFailure as failure:
        entries, kind = None, failure.kind
    seconds = time.monotonic() - began
    assert seconds < timeout + LATE
    return Answer(entries, kind, seconds)


def is_right(answer: Answer) -> bool:
    """Whether a lookup of ``ADDRESS`` found it."""
    return answer.entries is not None and [e.values("mail")[0] for e in answer.entries] == [ADDRESS.encode()]


async def ask_until_right(directory: Pool, seconds: float = 8.0) -> list[str]:
    """Ask for ``ADDRESS`` until it is found; returns the kinds of the failures before. Never NOTFOUND on the way."""
    kinds: list[Any] = []
    end = time.monotonic() + seconds
    while not is_right(answer := await ask(directory)):
        assert answer.entries is None, "a wrong answer"
        assert time.monotonic() < end, f"it did not recover: {kinds[-5:]}"
        kinds.append(answer.kind)
        await asyncio.sleep(0.02)
    return kinds
