"""Memory, descriptors, tasks and cache of the daemon, every few seconds."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.soak.site import Site
from vmaild.admin import ControlError, stats

PATIENCE = 3.0
"""Seconds that the control socket may take; a paused daemon's sample is left out."""


@dataclass
class Sample:
    """One look. Memory is in bytes; ``held`` are the descriptors beside those of clients."""

    at: float
    resident: int
    private: int
    descriptors: int
    held: int
    threads: int
    tasks: int
    connections: int
    records: int
    log_dropped: int
    told: dict[str, Any] = field(repr=False)

    @property
    def cached(self) -> int:
        """Bytes that the cache says it holds, those remembered by raw request included."""
        return sum(self.told.get("cache", {}).get("bytes", {}).values())


class Sampler:
    """Takes samples in a thread until ``stop``."""

    def __init__(self, site: Site, interval: float) -> None:
        self._site = site
        self._interval = interval
        self._stop = threading.Event()
        self.samples: list[Sample] = []
        self.missed = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End it."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._interval):
            try:
                self.samples.append(take(self._site))
            except (OSError, ControlError):
                self.missed += 1


def take(site: Site) -> Sample:
    """One sample now. Raises ControlError or OSError when there is none."""
    pid = site.daemon.pid
    told = stats(site.control, timeout=PATIENCE)
    process = told.get("process", {})
    memory = _memory(pid)
    connections = told["server"]["connections"]
    # Both from one moment of the daemon's: clients come and go.
    descriptors = process.get("descriptors") or len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return Sample(
        at=time.monotonic(),
        resident=memory["Rss"],
        private=memory["Private_Dirty"],
        descriptors=descriptors,
        held=descriptors - connections,
        threads=len(list(Path(f"/proc/{pid}/task").iterdir())),
        tasks=process.get("tasks", 0),
        connections=connections,
        records=told["cache"].get("records", 0),
        log_dropped=told.get("log", {}).get("dropped", 0),
        told=told,
    )


def _memory(pid: int) -> dict[str, int]:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    return {name: int(value.split()[0]) * 1024 for name, _, value in (line.partition(":") for line in lines)}
