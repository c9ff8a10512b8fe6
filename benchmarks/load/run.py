"""One load on one server: connect, warm up, measure, and put the result together.

Times are nanoseconds of the monotonic clock inside, seconds in settings, milliseconds in results.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.load.fleet import Churn, Fleet
from benchmarks.load.keys import KeyStream
from benchmarks.load.pace import ClosedLoop, Lockstep, OpenLoop, Schedule
from benchmarks.load.questions import Codec, Question
from benchmarks.load.tally import Tally
from benchmarks.site.use import cpu_seconds, waited_seconds
from vmaild.listening import Address

SWEEP_SECONDS = 0.2
"""How often timeouts and idle connections are looked for, and progress is shown."""

DRAIN_SECONDS = 0.01
"""How often it is checked whether the last answers are in."""

MOST_TICKS = 5000
"""Ticks a second, at most: a tick costs 10 us of CPU, and at higher rates one tick asks several questions."""

Shown = Callable[[float, Tally, bool], object]
"""Is called often, with seconds, what is counted, and whether it is the warm-up."""


class CannotConnect(Exception):
    """Not one connection could be opened, or the server stopped to answer before the measurement."""


@dataclass(frozen=True, slots=True)
class LoadSettings:
    """What is asked of the server, and how fast.

    ``rate`` is in questions a second, 0 for a closed loop, which ``lockstep`` runs in step; ``seconds`` and ``warm_up``
    are its times. ``warm_keys`` are asked once each before anything else. ``pids`` are the server's processes by name.
    """

    address: Address
    codec: Codec
    connections: int
    rate: float
    lockstep: bool
    seconds: float
    warm_up: float
    timeout: float
    churn: Churn | None
    seed: int
    warm_keys: Sequence[Question] = ()
    pids: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What was measured. ``cpu`` and ``waited`` (ready, without a core) are seconds by name of the process."""

    seconds: float
    tally: Tally
    cpu: dict[str, float]
    waited: dict[str, float]
    opened: int
    reused: int
    warm_up_errors: dict[str, int]

    def figures(self) -> dict[str, float]:
        """The figures that ``--fail-if`` knows: latencies and CPU for each answer in ms, counts, rate a second."""
        tally, answers = self.tally, self.tally.answers
        used = {name: 1e3 * seconds / max(1, answers) for name, seconds in self.cpu.items()}
        client = used.pop("client")
        return {
            **{status.value.decode().lower(): number for status, number in tally.kinds.items()},
            **tally.latency.summary(),
            "answers": answers,
            "rate": answers / self.seconds,
            "checked": tally.checked,
            "wrong": tally.wrong,
            "errors": sum(tally.errors.values()),
            **{f"cpu {name}": each for name, each in used.items()},
            **({"cpu": sum(used.values())} if used and answers else {}),
            "client_cpu": client,
        }


class Load:
    """One load, to be run once. ``shown`` is told how it goes."""

    def __init__(
        self, settings: LoadSettings, stream: KeyStream[Question], shown: Shown,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:  # fmt: skip
        self._settings, self._stream, self._shown, self._clock = settings, stream, shown, clock
        self._pids = {**settings.pids, "client": os.getpid()}
        on_demand = settings.churn is not None and settings.rate > 0
        self._fleet = Fleet(
            settings.address, settings.codec, settings.connections, Tally(clock()), clock,
            churn=settings.churn, on_demand=on_demand, seed=settings.seed,
        )  # fmt: skip

    async def run(self) -> LoadResult:
        """Raises ``CannotConnect``."""
        # A pause of the collector among a million questions would be measured as the server's.
        gc.collect()
        gc.freeze()
        gc.disable()
        try:
            if not await self._fleet.open():
                raise CannotConnect(f"cannot connect to {self._settings.address}")
            if self._settings.warm_keys:
                await self._ask_once()
            return await self._measure()
        finally:
            await self._fleet.close()
            gc.enable()
            gc.unfreeze()

    async def _measure(self) -> LoadResult:
        fleet, settings, warm_tally = self._fleet, self._settings, self._fleet.tally
        pace, ticker = self._pace()
        try:
            self._start(pace)
            await self._watch(settings.warm_up, True)
            tally = fleet.tally = Tally(self._clock())
            before = self._use()
            await self._watch(settings.seconds, False)
            cpu, waited = (
                {name: now[name] - then[name] for name in now} for now, then in zip(self._use(), before, strict=True)
            )
            seconds = (self._clock() - tally.began) / 1e9
            pace.stop(tally, self._clock())
            await self._drain()
        finally:
            if ticker is not None:
                ticker.close()
        return LoadResult(seconds, tally, cpu, waited, fleet.opened, self._stream.reused, dict(warm_tally.errors))

    def _use(self) -> tuple[dict[str, float], dict[str, float]]:
        cpu, waited = ({name: read(pid) for name, pid in self._pids.items()} for read in (cpu_seconds, waited_seconds))
        return cpu, waited

    def _pace(self) -> tuple[ClosedLoop, Ticker | None]:
        settings, following = self._settings, self._stream.next
        if not settings.rate:
            return Lockstep(following, settings.connections) if settings.lockstep else ClosedLoop(following), None
        loop = OpenLoop(following, Schedule(settings.rate, self._clock()))

        def tick() -> None:
            loop.tick(self._clock())
            if loop.wanted:
                self._fleet.want(loop.wanted)

        return loop, Ticker(1.0 / settings.rate, tick)

    def _start(self, pace: ClosedLoop) -> None:
        self._fleet.pace = pace
        for connection in list(self._fleet.connections):
            pace.ready(connection, self._clock())

    async def _watch(self, seconds: float, warming: bool) -> None:
        began, tally = self._clock(), self._fleet.tally
        while (passed := (self._clock() - began) / 1e9) < seconds:
            await asyncio.sleep(min(SWEEP_SECONDS, seconds - passed))
            self._fleet.sweep(self._settings.timeout)
            self._shown((self._clock() - began) / 1e9, tally, warming)

    async def _drain(self) -> None:
        for _ in range(int(self._settings.timeout / DRAIN_SECONDS)):
            if self._fleet.in_flight:
                await asyncio.sleep(DRAIN_SECONDS)

    async def _ask_once(self) -> None:
        """Ask each of the warm keys once, as fast as it goes."""
        keys, fleet = iter(self._settings.warm_keys), self._fleet
        once = ClosedLoop(lambda: next(keys, None))
        self._start(once)
        answers, quiet = -1, 0.0
        while fleet.in_flight or (not once.stopped and quiet < self._settings.timeout):
            quiet = quiet + SWEEP_SECONDS if fleet.tally.answers == answers else 0.0
            answers = fleet.tally.answers
            await asyncio.sleep(SWEEP_SECONDS)
            fleet.sweep(self._settings.timeout)
        if not once.stopped:
            raise CannotConnect(f"{self._settings.address} answers no more")


class Ticker:
    """Calls ``tick`` every ``seconds`` from the running loop, until closed, by timerfd_create(2).

    An event loop's own timers count whole milliseconds, and an open loop's latencies count from the scheduled time: a
    timer that is late by up to a millisecond would be most of what it measures.
    """

    def __init__(self, seconds: float, tick: Callable[[], None]) -> None:
        self._tick = tick
        self._loop = asyncio.get_running_loop()
        libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        period = divmod(max(int(seconds * 1e9), 10**9 // MOST_TICKS), 10**9)
        spec = (ctypes.c_long * 4)(*period, *period)
        if self._descriptor < 0 or libc.timerfd_settime(self._descriptor, 0, ctypes.byref(spec), None) < 0:
            raise OSError(ctypes.get_errno(), "there is no timerfd")
        self._loop.add_reader(self._descriptor, self._fired)

    def close(self) -> None:
        """Stop ticking."""
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)

    def _fired(self) -> None:
        try:
            os.read(self._descriptor, 8)
        except BlockingIOError:
            return
        self._tick()
