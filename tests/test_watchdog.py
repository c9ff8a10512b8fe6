"""The watchdog, in processes of its own: it ends one that stands still, and leaves one that turns alone."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import asyncio, ctypes
from vmaild.watchdog import Watchdog

def stands_still():
    ctypes.PyDLL(None).usleep({microseconds})   # PyDLL keeps the interpreter's lock, as a C library may

async def main():
    watchdog = Watchdog({seconds})
    watchdog.start()
    await asyncio.sleep({turning})
    if {microseconds}:
        stands_still()
    await watchdog.stop()
    print("went on")

asyncio.run(main())
"""


def run(seconds: float, turning: float, microseconds: int) -> subprocess.CompletedProcess[str]:
    program = PROGRAM.format(seconds=seconds, turning=turning, microseconds=microseconds)
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)


def test_a_loop_that_stands_still_with_the_interpreters_lock_held_is_ended_and_its_stack_shown() -> None:
    done = run(seconds=0.5, turning=0, microseconds=900_000 * 20)
    assert done.returncode == 1
    assert "stands_still" in done.stderr
    assert "went on" not in done.stdout


def test_a_loop_that_turns_is_left_alone_however_long_and_stopping_ends_the_watch() -> None:
    done = run(seconds=0.5, turning=1.5, microseconds=0)
    assert (done.returncode, done.stdout, done.stderr) == (0, "went on\n", "")
