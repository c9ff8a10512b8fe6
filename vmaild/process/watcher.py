"""The watchdog's own process: ``python watcher.py PID SECONDS STACKS``, with the beats on standard input.

Run as a file, without the rest of vmaild, so that it starts in 20 ms and takes little memory. ``Hang`` is the pure
part: it learns what happened in each step and returns when the daemon hangs. See ``vmaild.process.watchdog``.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time

STEPS = 20
"""Steps of the watcher within the seconds that the loop may stand still."""

LONG_STEP = 3
"""A step that takes so many times its length was a pause of the watcher too, hence of the machine."""

MAX_STACKS = 256 * 1024
"""Bytes of stacks that are passed on, and the size asked for the pipe they come through."""

END_SECONDS = 2.0
"""How long the daemon may take to write its stacks and end."""

WRITE_SECONDS = 5
"""How long standard error may take to accept the stacks."""

STOPPED = "Tt"
"""States of a process that does not run, proc(5): stopped by a signal, or by a debugger."""


class Hang:
    """Counts the steps in which the daemon ran and its loop did not. ``step``: the length of one, in seconds."""

    def __init__(self, seconds: float) -> None:
        self.step = seconds / STEPS
        self._silent = 0

    def after_step(self, *, took: float, beat: bool, stopped: bool) -> bool:
        """Take in one step; returns whether the loop hangs.

        ``took``: its seconds, by a clock that may go on while nothing runs. ``stopped``: the daemon is stopped now.
        """
        if beat or stopped or took > LONG_STEP * self.step:
            # After a pause the loop gets its whole time again, to run what piled up.
            self._silent = 0
        else:
            self._silent += 1
        return self._silent >= STEPS


def state(pid: int) -> str:
    """The state of a process, a letter of proc(5); empty when it cannot be read."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123  # pathlib takes as long to import as all the rest
            return file.read().rpartition(b") ")[2][:1].decode()
    except OSError:
        return ""


def watch(pid: int, seconds: float, stacks: int) -> None:
    """Watch until the daemon ends, by itself or by the watcher. What it wrote to ``stacks`` goes to standard error."""
    hang = Hang(seconds)
    began = time.monotonic()
    while True:
        # A whole step, however many beats come in it: the number of steps is the measure of time.
        beat, open_ = _beats(began + hang.step)
        now = time.monotonic()
        if not open_:
            _pass_on(_read(stacks, 0.0), "the process has crashed")
            return
        if hang.after_step(took=now - began, beat=beat, stopped=state(pid) in STOPPED):
            _end(pid, seconds, stacks)
            return
        began = now


def _beats(until: float) -> tuple[bool, bool]:
    """Wait until the time ``until``. Returns whether a beat came, and whether there can be more."""
    beat = False
    while (left := until - time.monotonic()) > 0:
        if select.select([0], [], [], left)[0]:
            if not os.read(0, 4096):
                return beat, False
            beat = True
    return beat, True


def _end(pid: int, seconds: float, stacks: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGABRT)
    text = _read(stacks, END_SECONDS)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    _pass_on(text or b"(no stacks could be had)\n", f"the event loop stood still for {seconds:g} seconds; ended")


def _read(stacks: int, seconds: float) -> bytes:
    """What was written there, until its end or for ``seconds``."""
    text = b""
    until = time.monotonic() + seconds
    while len(text) < MAX_STACKS and select.select([stacks], [], [], max(0.0, until - time.monotonic()))[0]:
        chunk = os.read(stacks, 65_536)
        if not chunk:
            break
        text += chunk
    return text


def _pass_on(stacks: bytes, headline: str) -> None:
    """Write to standard error, with the priority of sd-daemon(3) where systemd reads it."""
    if not stacks:
        return
    # A reader that does not read ends this process instead: nobody waits for it.
    signal.alarm(WRITE_SECONDS)
    prefix = "<2>" if "JOURNAL_STREAM" in os.environ else ""
    lines = [f"vmaild: {headline}", *(f"    {line}" for line in stacks.decode("ascii", "replace").splitlines())]
    text = "".join(f"{prefix}{line}\n" for line in lines)
    with contextlib.suppress(OSError):
        left = text.encode()
        while left:
            left = left[os.write(2, left) :]


def main() -> None:
    """Read the arguments and watch."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        # These are for the daemon, which then ends the beats.
        signal.signal(number, signal.SIG_IGN)
    pid, seconds, stacks = sys.argv[1:]
    watch(int(pid), float(seconds), int(stacks))


if __name__ == "__main__":
    main()
