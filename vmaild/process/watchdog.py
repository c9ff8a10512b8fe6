"""The watchdog for whatever still blocks: when the event loop stands still, write every stack and end the process.

Python's faulthandler counts the seconds in a thread of its own that needs no interpreter lock, so it fires even while
a C library holds the lock in a blocking call. A task on the loop keeps setting it back. After ``seconds`` without
that, the stacks of all threads go to standard error, the process ends with status 1, and whatever started it
(systemd) starts it again; systemd's own watchdog stands above this one.
"""

from __future__ import annotations

import asyncio
import faulthandler
import sys
from typing import TextIO

DEFAULT_SECONDS = 10.0
"""Longer than any deadline of vmaild's own, shorter than the 100 s that a Postfix process waits for an answer."""

BEATS = 4
"""How often the task sets the watchdog back within ``seconds``. Each costs some 40 microseconds."""


class Watchdog:
    """Ends the process when the running loop stands still for ``seconds``; 0 turns it off.

    ``file`` takes the stacks and must have a file descriptor: standard error by default. One per process, since
    faulthandler has one timer.
    """

    def __init__(self, seconds: float = DEFAULT_SECONDS, *, file: TextIO | None = None) -> None:
        self._seconds = seconds
        self._file = file
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Arm it, and keep setting it back from the running loop."""
        if self._seconds > 0 and self._task is None:
            self._task = asyncio.create_task(self._beat(), name="watchdog")

    async def stop(self) -> None:
        """Disarm it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
            faulthandler.cancel_dump_traceback_later()

    async def _beat(self) -> None:
        while True:
            faulthandler.dump_traceback_later(self._seconds, exit=True, file=self._file or sys.stderr)
            await asyncio.sleep(self._seconds / BEATS)
