"""One load on one server: connect, warm up, measure, and put the result together.

Times are nanoseconds of the monotonic clock inside, seconds in settings, milliseconds in results.
"""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.load.fleet import Churn, Fleet
from benchmarks.load.keys import KeyStream
from benchmarks.load.pace import ClosedLoop, Lockstep, OpenLoop, Pace, Schedule
from benchmarks.load.questions import Codec, Question
from benchmarks.load.tally import Tally
from benchmarks.load.ticker import Ticker
from benchmarks.site.use import cpu_seconds, waited_seconds
from vmaild.listening import Address

SWEEP_SECONDS = 0.2
"""How often timeouts and idle connections are looked for, and progress is shown."""

DRAIN_SECONDS = 0.01
"""How often it is checked whether the last answers are in."""

Shown = Callable[[float, Tally, bool], None]
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
    connections: int = 1
    rate: float = 0.0
    lockstep: bool = False
    seconds: float = 10.0
    warm_up: float = 1.0
    warm_keys: Sequence[Question] = ()
    timeout: float = 10.0
    churn: Churn | None = None
    seed: int = 1
    pids: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What was measured. ``server_cpu`` and ``waited`` (ready, without a core) are seconds by name of the process."""

    seconds: float
    tally: Tally
    server_cpu: dict[str, float]
    waited: dict[str, float]
    client_cpu: float
    opened: int
    reused: int = 0
    warm_up_errors: dict[str, int] = field(default_factory=dict)

    def figures(self) -> dict[str, float]:
        """The figures that ``--fail-if`` knows: latencies and CPU for each answer in ms, counts, rate a second."""
        tally, answers = self.tally, self.tally.answers
        each = 1e3 / answers if answers else 0.0
        figures: dict[str, float] = {status.value.decode().lower(): number for status, number in tally.kinds.items()}
        figures |= tally.latency.summary()
        figures |= {"answers": answers, "rate": answers / self.seconds if self.seconds else 0.0}
        figures |= {"checked": tally.checked, "wrong": tally.wrong, "errors": sum(tally.errors.values())}
        figures |= {f"cpu {name}": seconds * each for name, seconds in self.server_cpu.items()}
        figures["client_cpu"] = self.client_cpu * each
        if self.server_cpu and answers:
            figures["cpu"] = sum(self.server_cpu.values()) * each
        return figures


async def run_load(
    settings: LoadSettings, stream: KeyStream[Question], shown: Shown, clock: Callable[[], int] = time.monotonic_ns
) -> LoadResult:
    """Run the load. Raises ``CannotConnect``."""
    warm_tally = Tally(clock())
    on_demand = settings.churn is not None and settings.rate > 0
    fleet = Fleet(
        settings.address, settings.codec, settings.connections, warm_tally, clock,
        churn=settings.churn, on_demand=on_demand, seed=settings.seed,
    )  # fmt: skip
    # A pause of the collector among a million questions would be measured as the server's.
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        if not await fleet.open():
            raise CannotConnect(f"cannot connect to {settings.address}")
        if settings.warm_keys:
            await _ask_once(fleet, settings, clock)
        return await _measure(fleet, settings, stream, shown, clock)
    finally:
        await fleet.close()
        gc.enable()
        gc.unfreeze()


async def _measure(
    fleet: Fleet, settings: LoadSettings, stream: KeyStream[Question], shown: Shown, clock: Callable[[], int]
) -> LoadResult:
    warm_tally = fleet.tally
    pace, ticker = _pace(fleet, settings, stream, clock)
    try:
        _start(fleet, pace, clock)
        await _watch(fleet, settings, settings.warm_up, lambda s: shown(s, warm_tally, True), clock)
        tally = fleet.tally = Tally(clock())
        before, own_before = _use(settings.pids), time.process_time()
        await _watch(fleet, settings, settings.seconds, lambda s: shown(s, tally, False), clock)
        after, own = _use(settings.pids), time.process_time() - own_before
        seconds = (clock() - tally.began) / 1e9
        pace.stop(tally, clock())
        await _drain(fleet, settings.timeout)
    finally:
        if ticker is not None:
            ticker.close()
    cpu, waited = ({name: now[name] - then[name] for name in now} for now, then in zip(after, before, strict=True))
    return LoadResult(seconds, tally, cpu, waited, own, fleet.opened, stream.reused, dict(warm_tally.errors))


def _use(pids: Mapping[str, int]) -> tuple[dict[str, float], dict[str, float]]:
    """Seconds of CPU and of waiting for a core, by name of the process."""
    own = {**pids, "client": os.getpid()}
    return ({name: cpu_seconds(pid) for name, pid in pids.items()}, {n: waited_seconds(pid) for n, pid in own.items()})


def _pace(
    fleet: Fleet, settings: LoadSettings, stream: KeyStream[Question], clock: Callable[[], int]
) -> tuple[Pace, Ticker | None]:
    if not settings.rate:
        return Lockstep(stream.next, settings.connections) if settings.lockstep else ClosedLoop(stream.next), None
    loop = OpenLoop(stream.next, Schedule(settings.rate, clock()))

    def tick() -> None:
        loop.tick(clock())
        if loop.wanted:
            fleet.want(loop.wanted)

    return loop, Ticker(1.0 / settings.rate, tick)


def _start(fleet: Fleet, pace: Pace, clock: Callable[[], int]) -> None:
    fleet.pace = pace
    for connection in list(fleet.connections):
        pace.ready(connection, clock())


async def _watch(
    fleet: Fleet, settings: LoadSettings, seconds: float, shown: Callable[[float], None], clock: Callable[[], int]
) -> None:
    began = clock()
    while (passed := (clock() - began) / 1e9) < seconds:
        await asyncio.sleep(min(SWEEP_SECONDS, seconds - passed))
        fleet.sweep(settings.timeout)
        shown((clock() - began) / 1e9)


async def _drain(fleet: Fleet, timeout: float) -> None:
    for _ in range(int(timeout / DRAIN_SECONDS)):
        if not fleet.in_flight:
            return
        await asyncio.sleep(DRAIN_SECONDS)


async def _ask_once(fleet: Fleet, settings: LoadSettings, clock: Callable[[], int]) -> None:
    """Ask each of the ``warm_keys`` once, as fast as it goes."""
    keys = iter(settings.warm_keys)
    once = ClosedLoop(lambda: next(keys, None))
    _start(fleet, once, clock)
    answers, quiet = -1, 0.0
    while fleet.in_flight or (not once.stopped and quiet < settings.timeout):
        quiet = quiet + SWEEP_SECONDS if fleet.tally.answers == answers else 0.0
        answers = fleet.tally.answers
        await asyncio.sleep(SWEEP_SECONDS)
        fleet.sweep(settings.timeout)
    if not once.stopped:
        raise CannotConnect(f"{settings.address} answers no more")
    fleet.pace = None
