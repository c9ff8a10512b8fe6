"""The watchdog ends a process that stands still, and leaves one alone that works."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import asyncio, ctypes, time
from vmaild.process.watchdog import Watchdog

def holds_the_lock():
    # As bonsai does: a blocking call into a C library that keeps the interpreter lock.
    ctypes.PyDLL(None).usleep(5_000_000)

async def main():
    watchdog = Watchdog({seconds})
    watchdog.start()
    watchdog.start()
    {body}

asyncio.run(main())
print("ended by itself")
"""


def run(body: str, seconds: float = 0.4) -> subprocess.CompletedProcess[str]:
    program = PROGRAM.format(body=body, seconds=seconds)
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20)


@pytest.mark.parametrize("block", ["time.sleep(5)", "holds_the_lock()"])
def test_a_loop_that_stands_still_is_ended_with_every_stack(block):
    ended = run(f"await asyncio.sleep(0.1); {block}")
    assert ended.returncode == 1
    assert "Timeout" in ended.stderr
    assert "in main" in ended.stderr
    assert "ended by itself" not in ended.stdout


@pytest.mark.parametrize(
    "body",
    [
        "await asyncio.sleep(1.2)",  # a loop that turns
        "await asyncio.sleep(0.1); time.sleep(0.2); await asyncio.sleep(0.1)",  # held up, but for less
        "await asyncio.sleep(0.1); await watchdog.stop(); time.sleep(0.8)",
    ],
)
def test_a_loop_that_turns_is_left_alone(body):
    ended = run(body)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "ended by itself\n", "")


def test_zero_turns_it_off():
    assert run("await asyncio.sleep(0.05); time.sleep(0.5)", seconds=0).returncode == 0
