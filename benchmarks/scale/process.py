"""What a process has used, out of /proc, and what vmaild tells of itself by its metrics."""

from __future__ import annotations

import os
import subprocess
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_TICK = 1.0 / os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """User and system time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    return sum(int(field) for field in fields[11:13]) * _TICK


def resident(pid: int) -> int:
    """Memory of a process that is its own, in bytes: a database that is mapped into it does not count."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return 0


@dataclass(frozen=True, slots=True)
class Ran:
    """A command that has ended: how long it took, its CPU, and the most memory that it had."""

    seconds: float
    cpu: float
    memory: int
    status: int


def run(command: Sequence[str], output: Path) -> Ran:
    """Run a command to its end, with what it prints in a file."""
    began = time.perf_counter()
    with output.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, stdin=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    cpu = used.ru_utime + used.ru_stime
    return Ran(time.perf_counter() - began, cpu, used.ru_maxrss * 1024, process.returncode)


def metrics(url: str) -> dict[str, float]:
    """The metrics at an address, each with its labels, and summed over them; empty while there are none."""
    try:
        with urllib.request.urlopen(url, timeout=10.0) as answer:
            text = answer.read().decode()
    except OSError:
        return {}
    sums: dict[str, float] = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            labelled, _, value = line.rpartition(" ")
            for name in {labelled, labelled.partition("{")[0]}:
                sums[name] = sums.get(name, 0.0) + float(value)
    return sums
