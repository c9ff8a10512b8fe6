"""What processes of this machine use, by psutil: CPU time, memory, connections; and what slapd saw, by its log."""

import contextlib
import re
import resource
from collections.abc import Mapping
from pathlib import Path

import psutil

from vmaild.demo.tree import BASE, SEARCH_BASE

_SEARCH = re.compile(r'SRCH base="([^"]*)" scope=(\d)')
_CHECKED = {SEARCH_BASE, BASE, "", "cn=Subschema"}
"""Asked for by themselves only to see that a server still holds them, or what its schema is, and not for a message."""


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and of all that it or they started, also of those that ended, in seconds."""
    total = 0.0
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for member in [process, *process.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                total += sum(member.cpu_times()[:4])
    return total


def children_cpu() -> float:
    """CPU seconds of the programs that this one has started and that have ended."""
    return sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])


class Meter:
    """CPU time of process families by name, from its making on."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = {name: pid for name, pid in pids.items() if pid}
        self._before = self._now()

    def _now(self) -> dict[str, float]:
        return {name: cpu_seconds(pid) for name, pid in self._pids.items()}

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


def seen(log: str) -> tuple[int, int]:
    """Searches for keys, and connections accepted, in slapd's log (loglevel ``stats``)."""
    searches = sum(scope != "0" or base not in _CHECKED for base, scope in _SEARCH.findall(log))
    return searches, log.count(" ACCEPT from ")
