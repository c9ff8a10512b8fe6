"""The watchdog ends a process that stands still, and leaves one alone that works or was paused."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from vmaild.process.watcher import STEPS, Hang

PROGRAM = """
import asyncio, ctypes, os, signal, time
from vmaild.process.watchdog import Watchdog

def holds_the_lock():
    # As bonsai does: a blocking call into a C library that keeps the interpreter lock.
    ctypes.PyDLL(None).usleep(20_000_000)

async def main():
    watchdog = Watchdog({seconds})
    watchdog.start()
    watchdog.start()
    print("running", flush=True)
    {body}
    await watchdog.stop()

asyncio.run(main())
print("ended by itself")
"""


def run(body: str, seconds: float = 0.4, **options: object) -> subprocess.CompletedProcess[str]:
    program = PROGRAM.format(body=body, seconds=seconds)
    options = {"stderr": subprocess.PIPE} | options
    return subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, timeout=20, **options)  # type: ignore[call-overload, no-any-return]


@pytest.mark.parametrize("block", ["time.sleep(20)", "holds_the_lock()"])
def test_a_loop_that_stands_still_is_ended_with_every_stack(block: str) -> None:
    ended = run(f"await asyncio.sleep(0.1); {block}")
    assert ended.returncode == -signal.SIGABRT
    assert ended.stderr.startswith("vmaild: the event loop stood still for 0.4 seconds; ended\n")
    assert " in main" in ended.stderr
    assert "ended by itself" not in ended.stdout


@pytest.mark.parametrize("block", ["time.sleep(20)", "holds_the_lock()"])
def test_a_standard_error_that_nobody_reads_holds_nothing_up(block: str) -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    while True:
        try:
            os.write(writing, b"x" * 4096)
        except BlockingIOError:
            break
    os.set_blocking(writing, True)
    try:
        assert run(f"await asyncio.sleep(0.1); {block}", stderr=writing).returncode == -signal.SIGABRT
    finally:
        os.close(reading)
        os.close(writing)


@pytest.mark.parametrize(
    "body",
    [
        "await asyncio.sleep(1.2)",  # a loop that turns
        "await asyncio.sleep(0.1); time.sleep(0.2); await asyncio.sleep(0.1)",  # held up, but for less
        "await asyncio.sleep(0.1); await watchdog.stop(); time.sleep(0.8)",
    ],
)
def test_a_loop_that_turns_is_left_alone(body: str) -> None:
    ended = run(body)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "running\nended by itself\n", "")


def test_a_pause_is_not_taken_for_a_hang_and_a_hang_after_it_is() -> None:
    body = "await asyncio.sleep(4.5); time.sleep(20)"
    command = [sys.executable, "-c", PROGRAM.format(body=body, seconds=1)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"
        time.sleep(0.3)
        os.kill(process.pid, signal.SIGSTOP)
        time.sleep(3)
        os.kill(process.pid, signal.SIGCONT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.8)
        assert process.wait(20) == -signal.SIGABRT


def test_a_watcher_that_was_killed_is_replaced() -> None:
    body = (
        "os.kill(watchdog._watcher.pid, signal.SIGKILL); first = watchdog._watcher.pid; await asyncio.sleep(0.5);"
        " assert watchdog._watcher.pid != first; time.sleep(20)"
    )
    ended = run(body)
    assert ended.returncode == -signal.SIGABRT
    assert "starting another" in ended.stderr
    assert " in main" in ended.stderr


def test_a_crash_leaves_its_stacks() -> None:
    ended = run("await asyncio.sleep(0.1); ctypes.string_at(0)", seconds=5)
    assert ended.returncode == -signal.SIGSEGV
    assert "vmaild: the process has crashed" in ended.stderr
    assert "Segmentation fault" in ended.stderr


def test_stacks_in_the_journal_have_a_priority_in_each_line() -> None:
    environment = {**os.environ, "JOURNAL_STREAM": "8:1"}
    ended = run("await asyncio.sleep(0.1); time.sleep(20)", env=environment)
    assert ended.returncode == -signal.SIGABRT
    assert " in main" in ended.stderr
    assert all(line.startswith("<2>") for line in ended.stderr.splitlines())


def test_zero_turns_it_off() -> None:
    assert run("await asyncio.sleep(0.05); time.sleep(0.5)", seconds=0).returncode == 0


def steps(hang: Hang, count: int, **what: object) -> list[bool]:
    return [hang.after_step(**({"took": hang.step, "beat": False, "stopped": False} | what)) for _ in range(count)]


def test_a_hang_is_as_many_silent_steps_as_the_loop_may_stand_still() -> None:
    assert steps(Hang(10.0), STEPS) == [False] * (STEPS - 1) + [True]


@pytest.mark.parametrize("what", [{"beat": True}, {"stopped": True}, {"took": 3600.0}])
def test_a_beat_a_stop_and_a_pause_of_both_give_the_loop_its_whole_time_again(what: dict[str, object]) -> None:
    hang = Hang(10.0)
    assert steps(hang, STEPS - 1) == [False] * (STEPS - 1)
    assert steps(hang, 1, **what) == [False]
    assert steps(hang, STEPS) == [False] * (STEPS - 1) + [True]


def test_a_long_stop_is_no_hang_however_long() -> None:
    assert not any(steps(Hang(10.0), 10 * STEPS, stopped=True))
