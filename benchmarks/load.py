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

from benchmarks.cpu import total_cpu, waited_seconds
from benchmarks.fleet import Churn, Fleet
from benchmarks.keys import KeyStream
from benchmarks.pace import ClosedLoop, Once, OpenLoop, Schedule
from benchmarks.protocols import Codec, Question
from benchmarks.tally import Tally
from benchmarks.timer import Ticker
from vmaild.listening import Address

SWEEP_SECONDS = 0.2
"""How often timeouts and idle connections are looked for, and progress may be shown."""

DRAIN_SECONDS = 0.01
"""How often it is looked whether the last answers are in."""


class CannotConnect(Exception):
    """Not one connection could be opened."""


@dataclass(frozen=True, slots=True)
class LoadSettings:
    """What is asked of the server, and how fast.

    ``rate`` is in questions a second, 0 for a closed loop; ``duration`` and ``warm_up`` in seconds; ``warm_keys``
    are asked once each before anything else. ``pids`` are the server's processes by
    name, for their CPU time.
    """

    address: Address
    codec: Codec
    connections: int = 1
    rate: float = 0.0
    duration: float = 10.0
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
        """The figures that ``--fail-if`` knows: latencies in ms, CPU for each answer in ms, counts, rate a second."""
        tally = self.tally
        answers = tally.answers
        figures: dict[str, float] = {status.value.decode().lower(): number for status, number in tally.kinds.items()}
        figures |= tally.latency.summary()
        figures |= {"answers": answers, "rate": answers / self.seconds if self.seconds else 0.0}
        figures |= {"checked": tally.checked, "wrong": tally.wrong, "errors": sum(tally.errors.values())}
        figures["client_cpu"] = 1e3 * self.client_cpu / answers if answers else 0.0
        if self.server_cpu and answers:
            figures["cpu"] = 1e3 * sum(self.server_cpu.values()) / answers
        return figures


async def run_load(
    settings: LoadSettings,
    stream: KeyStream[Question],
    progress: Callable[[float, Tally, bool], None],
    clock: Callable[[], int] = time.monotonic_ns,
) -> LoadResult:
    """Run the load. ``progress`` is called often, with seconds, what is counted, and whether it is the warm-up.

    Raises ``CannotConnect``.
    """
    warm_tally = Tally(clock())
    on_demand = settings.churn is not None and settings.rate > 0
    fleet = Fleet(
        settings.address,
        settings.codec,
        settings.connections,
        warm_tally,
        clock,
        churn=settings.churn,
        on_demand=on_demand,
        seed=settings.seed,
    )
    # A pause of the collector among a million questions would be measured as the server's.
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        if not await fleet.open():
            raise CannotConnect(f"cannot connect to {settings.address}")
        if settings.warm_keys:
            await _ask_once(fleet, settings, clock)
        return await _measure(fleet, settings, stream, progress, clock)
    finally:
        await fleet.close()
        gc.enable()
        gc.unfreeze()


async def _measure(
    fleet: Fleet,
    settings: LoadSettings,
    stream: KeyStream[Question],
    progress: Callable[[float, Tally, bool], None],
    clock: Callable[[], int],
) -> LoadResult:
    warm_tally = fleet.tally
    pace, ticker = _pace(fleet, settings, stream, clock)
    try:
        _start(fleet, pace, clock)
        await _watch(fleet, settings, settings.warm_up, lambda s: progress(s, warm_tally, True), clock)
        tally = fleet.tally = Tally(clock())
        before, own_before = _Use.of(settings.pids), time.process_time()
        await _watch(fleet, settings, settings.duration, lambda s: progress(s, tally, False), clock)
        used = _Use.of(settings.pids).since(before)
        own = time.process_time() - own_before
        seconds = (clock() - tally.began) / 1e9
        pace.stop(tally, clock())
        await _drain(fleet, settings.timeout)
    finally:
        if ticker is not None:
            ticker.close()
    return LoadResult(seconds, tally, used.cpu, used.waited, own, fleet.opened, stream.reused, dict(warm_tally.errors))


@dataclass(frozen=True, slots=True)
class _Use:
    """Seconds by name of the process."""

    cpu: dict[str, float]
    waited: dict[str, float]

    @classmethod
    def of(cls, pids: Mapping[str, int]) -> _Use:
        own = {**pids, "client": os.getpid()}
        return cls(
            {name: total_cpu([pid]) for name, pid in pids.items()},
            {name: waited_seconds(pid) for name, pid in own.items()},
        )

    def since(self, before: _Use) -> _Use:
        return _Use(
            {name: value - before.cpu[name] for name, value in self.cpu.items()},
            {name: value - before.waited[name] for name, value in self.waited.items()},
        )


def _pace(
    fleet: Fleet, settings: LoadSettings, stream: KeyStream[Question], clock: Callable[[], int]
) -> tuple[ClosedLoop | OpenLoop, Ticker | None]:
    if not settings.rate:
        return ClosedLoop(stream.next), None
    loop = OpenLoop(stream.next, Schedule(settings.rate, clock()))

    def tick() -> None:
        loop.tick(clock())
        if loop.wanted:
            fleet.want(loop.wanted)

    return loop, Ticker(1.0 / settings.rate, tick)


def _start(fleet: Fleet, pace: ClosedLoop | OpenLoop, clock: Callable[[], int]) -> None:
    fleet.pace = pace
    for connection in list(fleet.connections):
        pace.ready(connection, clock())


async def _watch(
    fleet: Fleet, settings: LoadSettings, seconds: float, progress: Callable[[float], None], clock: Callable[[], int]
) -> None:
    began = clock()
    while (passed := (clock() - began) / 1e9) < seconds:
        await asyncio.sleep(min(SWEEP_SECONDS, seconds - passed))
        fleet.sweep(settings.timeout)
        progress((clock() - began) / 1e9)


async def _drain(fleet: Fleet, timeout: float) -> None:
    for _ in range(int(timeout / DRAIN_SECONDS)):
        if not fleet.in_flight:
            return
        await asyncio.sleep(DRAIN_SECONDS)


async def _ask_once(fleet: Fleet, settings: LoadSettings, clock: Callable[[], int]) -> None:
    """Ask each of the ``warm_keys`` once, as fast as it goes."""
    once = fleet.pace = Once(settings.warm_keys)
    for connection in list(fleet.connections):
        once.ready(connection, clock())
    asked, quiet = -1, 0.0
    while fleet.in_flight or (once.left and quiet < settings.timeout):
        quiet = quiet + SWEEP_SECONDS if once.asked == asked else 0.0
        asked = once.asked
        await asyncio.sleep(SWEEP_SECONDS)
        fleet.sweep(settings.timeout)
    if once.left:
        raise CannotConnect(f"{settings.address} answers no more")
    fleet.pace = None
