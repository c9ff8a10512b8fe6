"""CPU time of other processes on this machine, out of /proc, see proc(5).

CPU for each lookup is what stays comparable on a busy machine: lookups per second fall when other programs run,
and it hardly does.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

TICK_SECONDS = 1.0 / os.sysconf("SC_CLK_TCK")
"""The unit of the kernel's counters, 10 ms as a rule: measure over seconds."""

_PROC = Path("/proc")


def cpu_seconds(pid: int, *, ended_children: bool = False) -> float:
    """User and system time of a process and all its threads, in seconds. Raises ``ProcessLookupError``.

    ``ended_children`` adds that of the children it has waited for.
    """
    try:
        stat = (_PROC / str(pid) / "stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        raise ProcessLookupError(f"there is no process {pid}") from None
    # The name in brackets may hold spaces and brackets; the fields count from the last one.
    fields = stat.rpartition(b")")[2].split()
    return sum(int(field) for field in fields[11 : 15 if ended_children else 13]) * TICK_SECONDS


def family_cpu(pid: int) -> float:
    """User and system time of a process, all that it or they started, and all of these that ended, in seconds."""
    family, total = [pid], 0.0
    for member in family:
        try:
            total += cpu_seconds(member, ended_children=True)
            family.extend(_children(member))
        except ProcessLookupError:
            continue
    return total


def waited_seconds(pid: int) -> float:
    """How long a process was ready to run and had no core, in seconds: other programs' share of its latencies."""
    waited = 0
    for task in (_PROC / str(pid) / "task").glob("*/schedstat"):
        try:
            waited += int(task.read_text().split()[1])
        except OSError:
            continue
    return waited / 1e9


def total_cpu(pids: Iterable[int]) -> float:
    """CPU seconds of several processes together; one that has ended counts nothing."""
    total = 0.0
    for pid in pids:
        try:
            total += cpu_seconds(pid)
        except ProcessLookupError:
            continue
    return total


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for task in (_PROC / str(pid) / "task").glob("*/children"):
        try:
            found.extend(int(child) for child in task.read_text().split())
        except OSError:
            continue
    return found


def resident_bytes(pid: int) -> int:
    """Memory of a process that is in RAM now (VmRSS), in bytes."""
    for line in (_PROC / str(pid) / "status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0
