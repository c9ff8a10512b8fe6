"""What processes of this machine use, by psutil: CPU time, memory, connections.

CPU for each lookup is what stays comparable on a busy machine: lookups per second fall when other programs run,
and it hardly does. The kernel's counters tick every 10 ms: measure over seconds.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

import psutil

GONE = (psutil.NoSuchProcess, FileNotFoundError)


def cpu_seconds(pid: int, *, family: bool = False) -> float:
    """User and system time of a process, in seconds; of one that has ended, 0.

    ``family`` adds that of all that it or they started, and of all of these that ended.
    """
    total = 0.0
    with contextlib.suppress(*GONE):
        process = psutil.Process(pid)
        for member in [process, *(process.children(recursive=True) if family else ())]:
            with contextlib.suppress(*GONE):
                times = member.cpu_times()
                total += times.user + times.system
                total += times.children_user + times.children_system if family else 0.0
    return total


class Meter:
    """CPU time of process families by name, from its making on."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = pids
        self._before = {name: cpu_seconds(pid, family=True) for name, pid in pids.items()}

    def each(self, count: int) -> dict[str, float]:
        """Milliseconds for each of ``count`` answers, as figures."""
        used = {name: cpu_seconds(pid, family=True) - self._before[name] for name, pid in self._pids.items()}
        return {f"cpu {name}": 1e3 * seconds / count for name, seconds in used.items()}


def waited_seconds(pid: int) -> float:
    """How long a process was ready to run and had no core, in seconds: other programs' share of its latencies."""
    waited = 0
    for task in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with contextlib.suppress(OSError):
            waited += int(task.read_text().split()[1])
    return waited / 1e9


def resident_bytes(pid: int) -> int:
    """Memory of a process that is in RAM now, in bytes."""
    return int(psutil.Process(pid).memory_info().rss)


def open_connections(port: int, pid: int = 0) -> int:
    """Connections that are open to the local TCP ``port``, counted on the clients' side; those of one process."""
    everyone = psutil.Process(pid).net_connections("tcp") if pid else psutil.net_connections("tcp")
    return sum(getattr(each.raddr, "port", 0) == port and each.status == "ESTABLISHED" for each in everyone)
