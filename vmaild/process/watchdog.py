"""The watchdog for whatever still blocks: when the event loop stands still, log every stack and end the process.

It is a process of its own (``vmaild.process.watcher``), started beside the daemon. A task on the loop sends it a beat
several times within ``seconds``. When none has come for ``seconds``, the watcher makes faulthandler write the stacks
of all threads, which needs no interpreter lock, so it works while a C library holds the lock in a blocking call. The
stacks come to the watcher through a pipe; it ends the daemon and only then writes them to standard error. A standard
error that nobody reads therefore holds up the watcher, for a bounded time, and never the end of the daemon. Whatever
started the daemon (systemd) starts it again; systemd's own watchdog stands above this one.

The watcher counts its own steps, not the time of day, and none in which the daemon was stopped. So a pause (SIGSTOP, a
frozen virtual machine or container) is not taken for a hang: both stood still, or the daemon was seen to be stopped.

A crash inside a C library goes the same way: its stacks are in the log.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import fcntl
import logging
import os
import subprocess
import sys

from vmaild.process import watcher
from vmaild.process.log_once import LogOnce

logger = logging.getLogger("vmaild.process")

DEFAULT_SECONDS = 10.0
"""Longer than any deadline of vmaild's own, shorter than the 100 s that a Postfix process waits for an answer."""

BEATS = 4
"""How often the task sends a beat within ``seconds``. Each costs one write(2)."""

STOP_SECONDS = 2.0
"""How long ``stop`` waits for the watcher's end."""


class Watchdog:
    """Ends the process when the running loop stands still for ``seconds``; 0 turns it off.

    One per process, since faulthandler has one file. Without a second process (a limit, a seccomp filter) it logs
    that there is none.
    """

    def __init__(self, seconds: float = DEFAULT_SECONDS) -> None:
        self._seconds = seconds
        self._task: asyncio.Task[None] | None = None
        self._watcher: subprocess.Popen[bytes] | None = None
        self._beats = self._stacks = -1
        self._once = LogOnce(logger)

    def start(self) -> None:
        """Start the watcher, and send it beats from the running loop."""
        if self._seconds > 0 and self._task is None:
            self._start_watcher()
            self._task = asyncio.create_task(self._beat(), name="watchdog")

    async def stop(self) -> None:
        """End the watcher."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None
        self._end_watcher()

    async def _beat(self) -> None:
        while True:
            if not self._sent():
                self._once.log(logging.ERROR, "ended", "the watchdog's process has ended; starting another")
                self._end_watcher()
                self._start_watcher()
            await asyncio.sleep(self._seconds / BEATS)

    def _sent(self) -> bool:
        """Send a beat. False when nobody is there to take it."""
        if self._watcher is None:
            return True
        try:
            os.write(self._beats, b".")
        except BlockingIOError:
            # The watcher is stopped; the beats it has not read are enough.
            return True
        except OSError:
            return False
        return True

    def _start_watcher(self) -> None:
        beats, self._beats = os.pipe()
        stacks, writable = os.pipe()
        for end in (self._beats, writable):
            os.set_blocking(end, False)
        with contextlib.suppress(OSError):
            fcntl.fcntl(writable, fcntl.F_SETPIPE_SZ, watcher.MAX_STACKS)
        command = [sys.executable, "-I", "-S", watcher.__file__, str(os.getpid()), str(self._seconds), str(stacks)]
        try:
            self._watcher = subprocess.Popen(command, stdin=beats, stdout=subprocess.DEVNULL, pass_fds=[stacks])
            # Whatever ends the process by a signal of the CPU or abort() writes the stacks here first.
            faulthandler.enable(writable)
            self._stacks = writable
        except (OSError, ValueError) as error:
            logger.error("there is no watchdog: its process cannot be started: %s", error)
            os.close(writable)
        finally:
            os.close(beats)
            os.close(stacks)

    def _end_watcher(self) -> None:
        """The watcher ends when the pipe of beats does."""
        os.close(self._beats)
        faulthandler.disable()
        if self._watcher is None:
            return
        try:
            self._watcher.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._watcher.kill()
            self._watcher.wait()
        os.close(self._stacks)
        self._watcher = None
