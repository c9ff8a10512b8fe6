"""A timer finer than an event loop's own, which count whole milliseconds: timerfd_create(2).

An open loop's latencies count from the scheduled time, so a timer that is late by up to a millisecond would be most
of what it measures.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import time
from collections.abc import Callable

MOST_TICKS = 5000
"""Ticks a second, at most: a tick costs 10 us of CPU, and at higher rates one tick asks several questions."""


class Ticker:
    """Calls ``tick`` every ``seconds`` from the running loop, until closed."""

    def __init__(self, seconds: float, tick: Callable[[], None]) -> None:
        self._tick = tick
        self._loop = asyncio.get_running_loop()
        libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self._descriptor < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create failed")
        period = divmod(max(int(seconds * 1e9), 10**9 // MOST_TICKS), 10**9)
        spec = (ctypes.c_long * 4)(*period, *period)
        if libc.timerfd_settime(self._descriptor, 0, ctypes.byref(spec), None) < 0:
            raise OSError(ctypes.get_errno(), "timerfd_settime failed")
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
