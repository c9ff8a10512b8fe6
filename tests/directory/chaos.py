"""Two slapds killed, stopped, restarted and both downed at random, under 40 lookups that are cancelled at random.

Run as ``python -m tests.directory.chaos --seconds 300``; ``test_chaos.py`` runs a short one. Every answer is checked:
an address that exists is never not found, and nothing that was asked for is answered with something else. At the end
descriptors and memory are what they were, no exception went unseen, and lookups work.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import contextlib
import dataclasses
import gc
import json
import random
import tempfile
import time
from pathlib import Path

import uvloop

from tests.directory.certificates import Authority
from tests.directory.rig import LATE, SETTINGS, Stalls, descriptors, until
from vmaild.demo.slapd import Slapd, Tls
from vmaild.demo.tree import SEARCH_BASE, tree
from vmaild.directory import Pool
from vmaild.errors import DirectoryFailure
from vmaild.lookup import Scope, Search

LOOKUPS = 40
CANCELLED = 0.05
ABSENT = 0.3
LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
ADDRESSES = ("user1@domain1.example", "user2@domain1.example", "user1@domain2.example", "user1@domain3.example")
DEADLINE = 1.0

MEMORY_GROWTH = 8 << 20
"""Bytes by which the process may have grown after the first fifth of the run: malloc's arenas are never quite still."""


@dataclasses.dataclass
class Outcome:
    """What a run saw. All but ``answers`` must be empty or small."""

    loop: str
    seconds: float
    answers: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    faults: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    wrong: list[str] = dataclasses.field(default_factory=list)
    unseen: list[str] = dataclasses.field(default_factory=list)
    longest_stall: float = 0.0
    latest: float = 0.0
    descriptors: tuple[int, int] = (0, 0)
    memory: tuple[int, int] = (0, 0)
    counters: str = ""

    def problems(self) -> list[str]:
        """What is not as it must be."""
        found = [*self.wrong, *self.unseen]
        if self.longest_stall > 0.1:
            found.append(f"the loop was held up for {self.longest_stall:.3f} s")
        if self.latest > LATE:
            found.append(f"an answer came {self.latest:.3f} s after its deadline")
        if self.descriptors[1] > self.descriptors[0]:
            found.append(f"descriptors: {self.descriptors}")
        if self.memory[1] - self.memory[0] > MEMORY_GROWTH:
            found.append(f"memory: {self.memory}")
        if not self.answers["found"] or not self.answers["absent"]:
            found.append("nothing was answered")
        return found


class Chaos:
    """One run on the running loop. ``servers`` are two started slapds."""

    def __init__(self, servers: list[Slapd], directory: Pool, outcome: Outcome, seed: int) -> None:
        self._servers = servers
        self._directory = directory
        self._outcome = outcome
        self._random = random.Random(seed)
        self._end = time.monotonic() + outcome.seconds

    async def run(self) -> None:
        asking = [asyncio.create_task(self._ask_on()) for _ in range(LOOKUPS)]
        breaking = asyncio.create_task(self._break_on())
        await asyncio.sleep(self._outcome.seconds / 5)
        settled = _memory()
        await asyncio.gather(*asking)
        await breaking
        self._outcome.memory = (settled, _memory())

    async def _ask_on(self) -> None:
        while time.monotonic() < self._end:
            await self._ask_once()
            await asyncio.sleep(self._random.random() * 0.02)

    async def _ask_once(self) -> None:
        exists = self._random.random() >= ABSENT
        address = self._random.choice(ADDRESSES) if exists else f"nobody{self._random.random()}@domain1.example"
        search = Search(SEARCH_BASE, Scope.SUB, f"(mail={address})", ("mail",))
        deadline = asyncio.get_running_loop().time() + DEADLINE
        lookup = asyncio.create_task(self._directory.search(search, deadline=deadline))
        if self._random.random() < CANCELLED:
            asyncio.get_running_loop().call_later(self._random.random() * 0.003, lookup.cancel)
        try:
            entries = await lookup
        except asyncio.CancelledError:
            self._outcome.answers["cancelled"] += 1
            return
        except DirectoryFailure as failure:
            self._outcome.answers[failure.kind] += 1
            return
        finally:
            late = asyncio.get_running_loop().time() - deadline
            self._outcome.latest = max(self._outcome.latest, late)
        self._outcome.answers["found" if entries else "absent"] += 1
        told = [entry.values("mail")[0].decode().lower() for entry in entries]
        if told != ([address] if exists else []):
            self._outcome.wrong.append(f"{address}: {told}")

    async def _break_on(self) -> None:
        while time.monotonic() < self._end - 2.0:
            fault = self._random.choice((self._kill, self._stop, self._restart, self._both, self._freeze))
            self._outcome.faults[fault.__name__.strip("_")] += 1
            await fault(self._random.choice(self._servers))
            await asyncio.sleep(self._random.random())
        await until(lambda: self._directory.ready)

    async def _kill(self, server: Slapd) -> None:
        await asyncio.to_thread(server.kill)
        await asyncio.sleep(self._random.random())
        await asyncio.to_thread(server.start)

    async def _stop(self, server: Slapd) -> None:
        await asyncio.to_thread(server.stop)
        await asyncio.sleep(self._random.random())
        await asyncio.to_thread(server.start)

    async def _restart(self, server: Slapd) -> None:
        await asyncio.to_thread(server.restart)

    async def _freeze(self, server: Slapd) -> None:
        await asyncio.to_thread(server.suspend)
        await asyncio.sleep(self._random.random() * 3)
        server.resume()

    async def _both(self, _: Slapd) -> None:
        for server in self._servers:
            await asyncio.to_thread(server.kill)
        await asyncio.sleep(self._random.random())
        for server in self._servers:
            await asyncio.to_thread(server.start)


def run(home: Path, *, seconds: float, loop: str, seed: int) -> Outcome:
    """One run of ``seconds`` on a new ``loop``; the second server is asked through StartTLS, and so the relay."""
    outcome = Outcome(loop, seconds)
    authority = Authority(home)
    cert, key = authority.issue("/CN=localhost", "DNS:localhost,IP:127.0.0.1")
    with contextlib.ExitStack() as stack:
        servers = [
            stack.enter_context(Slapd(home / "first", ldif=tree())),
            stack.enter_context(Slapd(home / "second", ldif=tree(), tls=Tls(cert, key))),
        ]
        settings = dataclasses.replace(
            SETTINGS,
            uri=(servers[0].uri, servers[1].ldaps_uri),
            tls_ca_cert_file=str(authority.ca),
            check_interval=0.5,
            failback_after=0.5,
        )
        with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
            runner.run(_run(home, Pool(settings), servers, outcome, seed))
    return outcome


async def _run(home: Path, directory: Pool, servers: list[Slapd], outcome: Outcome, seed: int) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: outcome.unseen.append(str(context)))
    # The threads that start and stop slapd, and their descriptors, are there from now on.
    await asyncio.gather(*(asyncio.to_thread(time.sleep, 0.01) for _ in range(8)))
    # libuv keeps a descriptor of /dev/null from the first listening socket on.
    (await loop.create_unix_server(asyncio.Protocol, str(home / "first-listener"))).close()
    before = descriptors()
    stalls = Stalls()
    probe = asyncio.create_task(stalls.watch())
    await directory.start()
    await Chaos(servers, directory, outcome, seed).run()
    outcome.counters = str(directory.counters)
    await directory.close()
    probe.cancel()
    await asyncio.sleep(2.5)  # longer than a relay waits for the other side's goodbye
    gc.collect()
    outcome.descriptors = (before, descriptors())
    outcome.longest_stall = stalls.longest


def _memory() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=300.0, help="in all, shared by the loops")
    parser.add_argument("--loop", choices=LOOPS, help="only this one")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    arguments = parser.parse_args()
    loops = [arguments.loop] if arguments.loop else list(LOOPS)
    print(f"seed {arguments.seed}")
    failed = False
    for loop in loops:
        with tempfile.TemporaryDirectory(prefix="vmaild-chaos-") as home:
            outcome = run(Path(home), seconds=arguments.seconds / len(loops), loop=loop, seed=arguments.seed)
        print(json.dumps(vars(outcome), indent=2))
        for problem in outcome.problems():
            print(f"PROBLEM: {problem}")
            failed = True
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    main()
