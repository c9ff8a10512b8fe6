"""One load on one server: connect, warm up, measure, and put the figures together.

Times are nanoseconds of the monotonic clock inside, seconds in options, milliseconds in figures.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ctypes
import gc
import os
import time
from collections.abc import Callable, Iterator

from benchmarks.load.fleet import Fleet
from benchmarks.load.pace import ClosedLoop, OpenLoop
from benchmarks.load.questions import Question, Questions
from benchmarks.load.tally import Tally
from benchmarks.report.rows import Figures
from benchmarks.site.use import Meter, waited_seconds

SWEEP_SECONDS = 0.2
"""How often timeouts and idle connections are looked for."""

SAY_SECONDS = 5.0
"""Between lines of progress."""

POLL_SECONDS = 0.01
"""How often it is checked whether all connections are open, and the last answers in."""

MOST_TICKS = 5000
"""Ticks a second, at most: a tick costs 10 us of CPU, and at higher rates one tick asks several questions."""


class CannotConnect(Exception):
    """Not one connection could be opened, or the server stopped to answer before the measurement."""


class Load:
    """One load, to be run once, as the ``options`` of the command line say. ``say`` is told how it goes."""

    def __init__(self, options: argparse.Namespace, questions: Questions[Question], say: Callable[[str], None]) -> None:
        self._options, self._questions, self._say = options, questions, say
        self._fleet = Fleet(options)
        self._pids = {**dict(options.pid), "client": os.getpid()}

    async def run(self) -> tuple[Figures, Tally]:
        """The figures of ``--fail-if`` and more, and what they were made of. Raises ``CannotConnect``."""
        # A pause of the collector among a million questions would be measured as the server's.
        gc.disable()
        try:
            await self._open()
            await self._ask_once()
            return await self._measure(), self._fleet.tally
        finally:
            self._fleet.close()
            await asyncio.sleep(POLL_SECONDS)

    async def _open(self) -> None:
        """In an open loop one connection, and the others on demand."""
        fleet, options = self._fleet, self._options
        first = options.connections if options.warm_keys or not options.rate else 1
        fleet.want(first)
        await self._watch(options.timeout, lambda: fleet.opened + fleet.tally.errors["connect"] >= first)
        if not fleet.connections:
            raise CannotConnect(f"cannot connect to {options.address}")

    async def _ask_once(self) -> None:
        """Ask each of the hot keys once, as fast as it goes."""
        hot = self._questions.hot if self._options.warm_keys else ()
        fleet, pace, answers = self._fleet, ClosedLoop(iter(hot)), -1

        def moves() -> bool:
            return fleet.tally.answers > answers or (pace.stopped and fleet.quiet())

        fleet.start(pace)
        while not (pace.stopped and fleet.quiet()):
            answers = fleet.tally.answers
            await self._watch(self._options.timeout, moves)
            if not moves():
                raise CannotConnect(f"{self._options.address} answers no more")

    async def _measure(self) -> Figures:
        fleet, options, questions = self._fleet, self._options, iter(self._questions)
        pace = ClosedLoop(questions, options.connections if options.lockstep else 1)
        if options.rate:
            pace = OpenLoop(questions, options.rate, fleet.clock())
        fleet.start(pace)
        with ticking(options.rate, lambda: fleet.want(pace.tick(fleet.clock()))):
            await self._phase("warm-up", options.warm_up)
            warm_up_errors = sum(fleet.tally.errors.values())
            fleet.tally = tally = Tally(fleet.clock())
            meter, before = Meter(self._pids), self._waited()
            await self._phase("load", options.seconds)
            cpu, seconds = meter.each(1), (fleet.clock() - tally.began) / 1e9
            waited = {name: (now - before[name]) / seconds for name, now in self._waited().items()}
            pace.stop(tally, fleet.clock())
            await self._watch(options.timeout + SWEEP_SECONDS, fleet.quiet)
        more = {"warm_up_errors": warm_up_errors, "opened": fleet.opened, "reused": self._questions.reused}
        return {**tally.figures(seconds, cpu), **waited, **more}

    def _waited(self) -> Figures:
        return {f"waited {name}": waited_seconds(pid) for name, pid in self._pids.items()}

    async def _phase(self, name: str, seconds: float) -> None:
        began = self._fleet.clock()
        while (passed := (self._fleet.clock() - began) / 1e9) < seconds:
            self._say(f"{name}: {self._fleet.tally.line(passed)}")
            await self._watch(min(SAY_SECONDS, seconds - passed))

    async def _watch(self, seconds: float, over: Callable[[], bool] | None = None) -> None:
        """Look after the connections for so many seconds, or until it is ``over``."""
        end = self._fleet.clock() + int(seconds * 1e9)
        while (left := (end - self._fleet.clock()) / 1e9) > 0 and not (over and over()):
            await asyncio.sleep(min(POLL_SECONDS if over else SWEEP_SECONDS, left))
            self._fleet.sweep()


@contextlib.contextmanager
def ticking(rate: float, tick: Callable[[], object]) -> Iterator[None]:
    """Call ``tick`` so many times a second from the running loop, by timerfd_create(2); never where ``rate`` is 0.

    An event loop's own timers count whole milliseconds, and an open loop's latencies count from the scheduled time: a
    timer that is late by up to a millisecond would be most of what it measures.
    """
    libc, loop = ctypes.CDLL(None), asyncio.get_running_loop()
    timer = libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
    period = divmod(int(1e9 / min(rate, MOST_TICKS)) if rate else 0, 10**9)
    libc.timerfd_settime(timer, 0, (ctypes.c_long * 4)(*period, *period), None)
    loop.add_reader(timer, lambda: os.read(timer, 8) and tick())
    try:
        yield
    finally:
        loop.remove_reader(timer)
        os.close(timer)
