"""What processes of this machine use, by psutil: CPU time, memory, connections; and what slapd saw, by its log.

CPU for each lookup is what stays comparable on a busy machine: lookups per second fall when other programs run,
and it hardly does. The kernel's counters tick every 10 ms: measure over seconds.
"""

from __future__ import annotations

import contextlib
import re
import resource
from collections.abc import Iterable, Mapping
from pathlib import Path

import psutil

from vmaild.demo.tree import BASE, SEARCH_BASE

_SEARCH = re.compile(r'SRCH base="([^"]*)" scope=(\d)')
_ACCEPT = re.compile(r"\bACCEPT from\b")

_CHECKED = {SEARCH_BASE, BASE, "", "cn=Subschema"}
"""Asked for by themselves only to see that a server still holds them, or what its schema is, and not for a message."""


def cpu_seconds(pid: int, *, family: bool = False) -> float:
    """User and system time of a process, in seconds; of one that has ended, 0.

    ``family`` adds that of all that it or they started, and of all of these that ended.
    """
    total = 0.0
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for member in [process, *(process.children(recursive=True) if family else ())]:
            with contextlib.suppress(psutil.NoSuchProcess):
                total += sum(member.cpu_times()[: 4 if family else 2])
    return total


def children_cpu() -> float:
    """CPU seconds of the programs that this one has started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Meter:
    """CPU time of process families by name, from its making on."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = {name: pid for name, pid in pids.items() if pid}
        self._before = self._now()

    def _now(self) -> dict[str, float]:
        return {name: cpu_seconds(pid, family=True) for name, pid in self._pids.items()}

    def each(self, count: int) -> dict[str, float]:
        """Milliseconds for each of ``count`` answers, as figures."""
        return {f"cpu {name}": 1e3 * (now - self._before[name]) / count for name, now in self._now().items()}


def resident(pid: int) -> int:
    """Memory of a process that is its own and in RAM, in bytes: files that are mapped do not count."""
    memory = psutil.Process(pid).memory_info()
    return int(memory.rss - memory.shared)


def waited_seconds(pid: int) -> float:
    """How long a process was ready to run and had no core, in seconds: other programs' share of its latencies."""
    waited = 0
    for task in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with contextlib.suppress(OSError):
            waited += int(task.read_text().split()[1])
    return waited / 1e9


def open_connections(port: int, pid: int = 0) -> int:
    """Connections that are open to the local TCP ``port``, counted on the clients' side; those of one process."""
    everyone = psutil.Process(pid).net_connections("tcp") if pid else psutil.net_connections("tcp")
    return sum(getattr(each.raddr, "port", 0) == port and each.status == "ESTABLISHED" for each in everyone)


def seen(lines: Iterable[str]) -> tuple[int, int]:
    """Searches for keys, and connections accepted, in lines of slapd's log (loglevel ``stats``)."""
    searches = connections = 0
    for line in lines:
        match = _SEARCH.search(line)
        searches += match is not None and not (match[2] == "0" and match[1] in _CHECKED)
        connections += _ACCEPT.search(line) is not None
    return searches, connections
