"""Lookups through ``postmap -q -``: Postfix's own client code, without the rest of Postfix.

``clients`` processes get a part of the keys each on standard input. All answers are counted, and the CPU time of
the processes is that of the kernel's own accounts (wait4(2)).
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


class PostmapFailed(Exception):
    """postmap said something on standard error, or ended badly."""


@dataclass(frozen=True, slots=True)
class PostmapResult:
    """One run: keys asked, how many were found, how many wrongly, wall and CPU seconds of the clients."""

    asked: int
    found: int
    wrong: int
    seconds: float
    cpu: float


def run_postmap(
    config: Path, table: str, keys: Sequence[bytes], clients: int, expected: Mapping[bytes, bytes]
) -> PostmapResult:
    """Ask for ``keys``. ``expected`` has the right values; a key without one must not be found."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / str(number) for number in range(clients)]
        for number, file in enumerate(files):
            file.with_suffix(".in").write_bytes(b"".join(key + b"\n" for key in keys[number::clients]))
        began = time.monotonic()
        processes = [_start(config, table, file) for file in files]
        cpu = sum(_wait(process) for process in processes)
        seconds = time.monotonic() - began
        found = wrong = 0
        for process, file in zip(processes, files, strict=True):
            _complain(process, file)
            here, bad = _check(file, expected)
            found, wrong = found + here, wrong + bad
    missing = sum(key in expected for key in keys) - (found - wrong)
    return PostmapResult(len(keys), found, max(wrong, missing), seconds, cpu)


def _start(config: Path, table: str, file: Path) -> subprocess.Popen[bytes]:
    command = ["postmap", "-c", str(config), "-q", "-", table]
    # Files and not pipes: a pipe that nobody empties would stop the client.
    with (
        file.with_suffix(".in").open("rb") as stdin,
        file.with_suffix(".out").open("wb") as out,
        file.with_suffix(".err").open("wb") as err,
    ):
        return subprocess.Popen(command, stdin=stdin, stdout=out, stderr=err)


def _wait(process: subprocess.Popen[bytes]) -> float:
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_utime + usage.ru_stime


def _complain(process: subprocess.Popen[bytes], file: Path) -> None:
    text = file.with_suffix(".err").read_text(errors="replace")[:1000].strip()
    # Status 1 means that nothing was found.
    if text or process.returncode not in (0, 1):
        raise PostmapFailed(f"postmap ended with {process.returncode}: {text}")


def _check(file: Path, expected: Mapping[bytes, bytes]) -> tuple[int, int]:
    found = wrong = 0
    with file.with_suffix(".out").open("rb") as lines:
        for line in lines:
            key, _, value = line.rstrip(b"\n").partition(b"\t")
            found += 1
            wrong += expected.get(key) != value
    return found, wrong
