"""A provider and its replica fail, hang, restart and lag while changes are written, and vmaild follows them.

Run as ``python -m tests.feed.chaos --seconds 300 --mode poll``; ``test_chaos.py`` runs short ones. vmaild asks the
replica first, then the provider, each through a proxy; the replica follows the provider through another. Nothing
expires during a run: what is answered is right by what was heard, or not at all.

- What was never right, and "not found" of an address that always exists, is wrong whenever it is answered.
- While nothing is broken, so is TEMP, and what has not been right for ``LATEST`` seconds. Where a fault was in the way,
  the time before it or after it counts, whichever is longer.
- After each quiet spell the writer pauses, and every answer is compared with what was written last, and with the
  directory's own.
- At the end no exception went unseen, and descriptors and memory are what they were.
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
from collections.abc import Iterator
from pathlib import Path

import uvloop

from tests.directory.proxy import Mode, Proxy
from tests.directory.rig import SETTINGS, Stalls, by_mail, descriptors, until
from tests.feed.rig import ALIAS, Hearing, hearing
from tests.soak.changes import ABSENT, ALWAYS, GOING, RATE, History, Writer
from tests.soak.oracle import CHANGING_DOMAIN, extra_ldif
from tests.support import ldap_client
from vmaild.demo.slapd import Slapd
from vmaild.demo.tree import BASE, READER_DN, READER_PW, tree
from vmaild.directory import Cookie
from vmaild.errors import DirectoryFailure
from vmaild.feed import poll
from vmaild.lookup import Reply, Status

ASKING = 8
MODES = ("sync", "poll")

LATEST = {"sync": 2.0, "poll": 3.5}
"""Seconds that a change may take to show, on a busy machine; the freshness table has the times of a quiet one."""

DOUBT = 1.0
"""In the place of ``poll.DOUBT``, 300 s: how long a deletion may be hidden from a poll by a change beside it."""

SETTLE = 2.5
"""Seconds after a fault in which lookups may fail: they go back to the first server then."""

RECOVERY = 20.0
"""Seconds in which the replica has caught up, and changes are heard: its own retries are a second apart."""

BURST = 700
"""Entries that are written at once, more than slapd's default ``sizelimit``."""

BRISK = ("timeout", "connect_timeout", "check_interval", "failback_after")
"""Settings as in the other tests of the directory."""

STALL = 0.1
"""Seconds: the longest that the loop may be held up."""

MEMORY_GROWTH = 24 << 20
"""Bytes by which the process may have grown after the first round: of each burst is remembered what was heard, up to 15
MB, and the proxies' threads come and go."""

QUIET = 2.0
"""Seconds of a quiet spell, in which changes are written and nothing is broken."""


@dataclasses.dataclass
class Outcome:
    """What a run saw. ``oldest`` is the age of an answer, in seconds, ``oldest_quiet`` without the time of faults."""

    mode: str
    seconds: float
    faults: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    answers: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    changes: int = 0
    compared: int = 0
    wrong: list[str] = dataclasses.field(default_factory=list)
    unseen: list[str] = dataclasses.field(default_factory=list)
    oldest: float = 0.0
    oldest_quiet: float = 0.0
    longest_recovery: float = 0.0
    longest_stall: float = 0.0
    descriptors: tuple[int, int] = (0, 0)
    memory: tuple[int, int] = (0, 0)
    heard: str = ""

    def problems(self) -> list[str]:
        """What is not as it must be."""
        found = [*self.wrong[:20], *self.unseen]
        if self.longest_stall > STALL:
            found.append(f"the loop was held up for {self.longest_stall:.3f} s")
        if self.descriptors[1] > self.descriptors[0]:
            found.append(f"descriptors: {self.descriptors}")
        if self.memory[1] - self.memory[0] > MEMORY_GROWTH:
            found.append(f"memory: {self.memory}")
        if not (self.changes and self.compared and self.answers["FOUND"] and self.answers["NOT_FOUND"]):
            found.append("nothing was changed, or nothing answered")
        return found


class Times:
    """When something was broken."""

    def __init__(self) -> None:
        self._spans: list[tuple[float, float]] = []

    def begin(self) -> None:
        """It is from now on."""
        self._spans.append((time.monotonic(), float("inf")))

    def end(self) -> None:
        """It is no more."""
        self._spans[-1] = self._spans[-1][0], time.monotonic()

    def whole(self, since: float, until: float) -> float:
        """The longest time between two moments in which nothing was."""
        longest = 0.0
        for begin, end in self._spans:
            if end > since and begin < until:
                longest = max(longest, begin - since)
                since = end
        return max(longest, until - since)


class Servers:
    """The provider, its replica, and the proxies in between."""

    def __init__(self, home: Path, stack: contextlib.ExitStack) -> None:
        common = ["sizelimit unlimited"]
        ldif = f"{tree()}\n{extra_ldif()}"
        self.provider = stack.enter_context(
            Slapd(home / "provider", ldif=ldif, syncprov=True, config=["serverID 1", *common])
        )
        self.link = stack.enter_context(_proxied(self.provider))
        how = f'type=refreshAndPersist retry="1 +" searchbase="{BASE}" bindmethod=simple'
        who = f'binddn="{self.provider.root_dn}" credentials={self.provider.root_pw}'
        follows = [f"syncrepl rid=002 provider={self.link.uri} {how} {who}", f"updateref {self.provider.uri}"]
        self.replica = stack.enter_context(
            Slapd(home / "replica", syncprov=True, config=["serverID 2", *common], database=follows)
        )
        self.both = (self.replica, self.provider)
        self.fronts = [stack.enter_context(_proxied(server)) for server in self.both]

    def caught_up(self) -> bool:
        """Whether the replica has what the provider has; blocks."""
        provider, replica = _state(self.provider), _state(self.replica)
        return bool(provider.csns) and not replica.is_behind(provider)


class Chaos:
    """One run on the running loop."""

    def __init__(self, servers: Servers, site: Hearing, outcome: Outcome, seed: int) -> None:
        self._servers = servers
        self._site = site
        self._outcome = outcome
        self._random = random.Random(seed)
        self._keys = [f"always{n}@{CHANGING_DOMAIN}" for n in range(ALWAYS)]
        self._keys += [f"going{n}@{CHANGING_DOMAIN}" for n in range(GOING)]
        self._history = History(self._keys)
        provider = servers.provider
        self._writer = Writer(provider.uri, provider.root_dn, provider.root_pw, self._history)
        self._broken = Times()
        self._pausing = False
        self._writing = asyncio.Lock()
        self._bursts = 0

    async def run(self) -> None:
        for key in self._keys:
            assert await asyncio.to_thread(self._writer.change, key)
        await self._recovered()
        end = time.monotonic() + self._outcome.seconds
        tasks = [asyncio.create_task(self._ask_on()) for _ in range(ASKING)]
        tasks.append(asyncio.create_task(self._write_on()))
        settled = 0
        while not self._outcome.compared or time.monotonic() < end:
            await self._round()
            settled = settled or _memory()
        for task in tasks:
            task.cancel()
        failed = [one for one in await asyncio.gather(*tasks, return_exceptions=True) if isinstance(one, Exception)]
        self._outcome.unseen += map(repr, failed)
        self._outcome.memory = (settled, _memory())
        self._outcome.changes = self._writer.changes

    async def _round(self) -> None:
        """A fault, a quiet spell, and the comparison."""
        faults = (self._kill, self._restart, self._freeze, self._refuse, self._reset, self._hold, self._half,
                  self._lag, self._cut, self._both, self._burst)  # fmt: skip
        fault = self._random.choice(faults)
        place = self._random.randrange(2)
        self._outcome.faults[fault.__name__.strip("_")] += 1
        self._broken.begin()
        await fault(place)
        await self._recovered()
        await asyncio.sleep(SETTLE)
        self._broken.end()
        await asyncio.sleep(QUIET)
        await self._compare()

    async def _recovered(self) -> None:
        """Wait until the replica has caught up, and changes are heard of the first server."""
        began = time.monotonic()
        first, mode = self._servers.fronts[0].uri, self._outcome.mode
        try:
            async with asyncio.timeout(RECOVERY):
                while not await asyncio.to_thread(self._servers.caught_up):  # noqa: ASYNC110 - it has no event
                    await asyncio.sleep(0.1)
                await until(lambda: self._site.pool.current_uri == first, RECOVERY)
                await until(lambda: self._site.feed.counters.mode == mode, RECOVERY)
        except (TimeoutError, AssertionError):
            counters, status = self._site.feed.counters, self._site.pool.status()
            self._outcome.wrong.append(f"it did not recover: {counters}, {status}")
        self._outcome.longest_recovery = max(self._outcome.longest_recovery, time.monotonic() - began)

    # --- what is asked and written --------------------------------------------------------------------------------

    async def _ask_on(self) -> None:
        while True:
            for key in self._random.sample(self._keys, len(self._keys)):
                if self._random.random() < 0.1:
                    await self._ask_for_nobody()
                asked = time.monotonic()
                self._judge(key, await self._site.find(key, ALIAS), asked)
                await asyncio.sleep(self._random.random() * 0.04)

    async def _ask_for_nobody(self) -> None:
        reply = await self._site.find(f"nobody{self._random.randrange(50)}@{CHANGING_DOMAIN}", ALIAS)
        if reply.status not in (Status.NOT_FOUND, Status.TEMPORARY):
            self._outcome.wrong.append(f"nobody: {reply}")

    def _judge(self, key: str, reply: Reply, asked: float) -> None:
        outcome = self._outcome
        outcome.answers[reply.status.name] += 1
        if reply.status is Status.TEMPORARY:
            if self._broken.whole(asked, time.monotonic()) > 0:
                self._wrong(f"{key}: {reply}, with nothing broken")
            return
        age = self._history.age(key, _value(reply), asked)
        if age is None or (reply.status is Status.NOT_FOUND and key.startswith("always")):
            self._wrong(f"{key}: {reply} was never right")
            return
        whole = self._broken.whole(asked - age, asked)
        outcome.oldest, outcome.oldest_quiet = max(outcome.oldest, age), max(outcome.oldest_quiet, whole)
        if whole > self._latest(key):
            self._wrong(f"{key}: {reply} has not been right for {age:.2f} s, {whole:.2f} of them with nothing broken")

    def _latest(self, key: str) -> float:
        """A deletion, which is not named to a poll, may be hidden from it."""
        hidden = self._outcome.mode == "poll" and key.startswith("going")
        return LATEST[self._outcome.mode] + (DOUBT + poll.INTERVAL if hidden else 0.0)

    def _wrong(self, what: str) -> None:
        self._outcome.wrong.append(f"{what} (after {self._outcome.faults})")

    async def _write_on(self) -> None:
        while True:
            await asyncio.sleep(self._random.expovariate(RATE))
            key = self._random.choice(self._keys)
            absent = key.startswith("going") and self._writer.present(key) and self._random.random() < 0.5
            async with self._writing:
                await asyncio.to_thread(self._writer.change, key, absent=absent)

    async def _compare(self) -> None:
        """With nothing broken and nothing written, each answer is what the directory says."""
        async with self._writing:
            await asyncio.sleep(self._latest("going"))
            for key in self._keys:
                await self._site.find(key, ALIAS)  # what has aged is served once more
            await asyncio.sleep(0.5)
            for key in self._keys:
                await self._compare_one(key)
        self._outcome.compared += 1

    async def _compare_one(self, key: str) -> None:
        reply = await self._site.find(key, ALIAS)
        try:
            entries = await self._site.pool.search(by_mail(key, "maildrop"))
        except DirectoryFailure as failure:
            self._wrong(f"{key}: {failure} with nothing broken")
            return
        there = entries[0].values("maildrop")[0].decode() if entries else ABSENT
        if _value(reply) != there or self._history.age(key, there, time.monotonic()) != 0:
            self._wrong(f"{key}: {reply}, where {there!r} is in the directory")

    # --- what goes wrong ------------------------------------------------------------------------------------------

    async def _some_time(self, most: float) -> None:
        await asyncio.sleep(self._random.random() * most)

    async def _kill(self, place: int) -> None:
        await asyncio.to_thread(self._servers.both[place].kill)
        await self._some_time(2)
        await asyncio.to_thread(self._servers.both[place].start)

    async def _restart(self, place: int) -> None:
        await asyncio.to_thread(self._servers.both[place].restart)

    async def _both(self, _: int) -> None:
        for server in self._servers.both:
            await asyncio.to_thread(server.kill)
        await self._some_time(2)
        for server in self._servers.both:
            await asyncio.to_thread(server.start)

    async def _freeze(self, place: int) -> None:
        await asyncio.to_thread(self._servers.both[place].suspend)
        await self._some_time(4)
        self._servers.both[place].resume()

    async def _refuse(self, place: int) -> None:
        await self._shut(self._servers.fronts[place])

    async def _cut(self, _: int) -> None:
        await self._shut(self._servers.link)

    async def _shut(self, proxy: Proxy) -> None:
        await asyncio.to_thread(proxy.refuse)
        await self._some_time(3)
        proxy.listen()

    async def _reset(self, place: int) -> None:
        await asyncio.to_thread(self._servers.fronts[place].reset)

    async def _hold(self, place: int) -> None:
        await self._spoil(self._servers.fronts[place], Mode.HOLD)

    async def _half(self, place: int) -> None:
        await self._spoil(self._servers.fronts[place], Mode.HALF)

    async def _lag(self, _: int) -> None:
        await self._spoil(self._servers.link, Mode.HOLD)

    async def _spoil(self, proxy: Proxy, mode: Mode) -> None:
        proxy.mode = mode
        await self._some_time(4)
        proxy.mode = Mode.PASS

    async def _burst(self, _: int) -> None:
        """Many entries at once, of which a poll is told by several answers or not at all."""
        self._bursts += 1
        domain = f"o={CHANGING_DOMAIN},{_above(CHANGING_DOMAIN)}"
        names = (f"burst{self._bursts}-{number}@{CHANGING_DOMAIN}" for number in range(BURST))
        entries = (f"dn: mail={name},{domain}\nobjectClass: courierMailAlias\nmail: {name}\nmaildrop: x@x.example\n"
                   for name in names)  # fmt: skip
        await asyncio.to_thread(self._servers.provider.add, "\n".join(entries))


def _above(domain: str) -> str:
    return ldap_client.dn(f"x@{domain}").partition(f"o={domain},")[2]


def _value(reply: Reply) -> str | None:
    if reply.status is Status.FOUND:
        return reply.text.decode()
    return ABSENT if reply.status is Status.NOT_FOUND else None


def _state(server: Slapd) -> Cookie:
    found = ldap_client.search(server, READER_DN, READER_PW, BASE, "-s", "base", "contextCSN")
    return Cookie.of_context(line.split()[1].encode() for line in found.splitlines() if line.startswith("contextCSN"))


@contextlib.contextmanager
def _proxied(server: Slapd) -> Iterator[Proxy]:
    proxy = Proxy(("127.0.0.1", server.port))
    try:
        yield proxy
    finally:
        proxy.close()


def _memory() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def run(home: Path, *, seconds: float, mode: str, seed: int) -> Outcome:
    """One run of ``seconds`` at least, of one fault at least."""
    outcome = Outcome(mode, seconds)
    kept, poll.DOUBT = poll.DOUBT, DOUBT
    try:
        with contextlib.ExitStack() as stack:
            servers = Servers(home, stack)
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(_run(servers, outcome, seed))
    finally:
        poll.DOUBT = kept
    return outcome


async def _run(servers: Servers, outcome: Outcome, seed: int) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: outcome.unseen.append(str(context)))
    # The threads that write and break, and their descriptors, are there from now on.
    await asyncio.gather(*(asyncio.to_thread(time.sleep, 0.01) for _ in range(8)))
    before = descriptors() - len((servers.link, *servers.fronts))
    stalls = Stalls()
    probe = asyncio.create_task(stalls.watch())
    uris = [front.uri for front in servers.fronts]
    brisk = {
        name: getattr(SETTINGS, name) for name in ("timeout", "connect_timeout", "check_interval", "failback_after")
    }
    async with hearing(uris, outcome.mode, **brisk) as site:
        await Chaos(servers, site, outcome, seed).run()
        outcome.heard = f"{site.feed.counters}, {site.freshness.counters}"
    probe.cancel()
    for proxy in (servers.link, *servers.fronts):
        await asyncio.to_thread(proxy.close)
    await asyncio.sleep(0.5)
    gc.collect()
    outcome.descriptors = (before, descriptors())
    outcome.longest_stall = stalls.longest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=300.0, help="for each mode")
    parser.add_argument("--mode", choices=MODES, help="only this one")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}")
    failed = False
    for mode in [arguments.mode] if arguments.mode else MODES:
        with tempfile.TemporaryDirectory(prefix="vmaild-chaos-") as home:
            outcome = run(Path(home), seconds=arguments.seconds, mode=mode, seed=arguments.seed)
        print(json.dumps(vars(outcome), indent=2))
        for problem in outcome.problems():
            print(f"PROBLEM: {problem}")
            failed = True
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    main()
