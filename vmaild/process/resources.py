"""What the process itself holds: asyncio tasks, descriptors, threads, memory. A leak shows here first."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")


def resident_memory() -> int:
    """Bytes of memory that the process holds. Raises OSError without /proc."""
    # Not by a file object, of which something would stay among what is measured.
    statm = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return int(os.read(statm, 200).split()[1]) * _PAGE
    finally:
        os.close(statm)


def resources_in_use() -> dict[str, int]:
    """Numbers of the running process; ``resident`` in bytes. Call it on the loop. Raises OSError without /proc."""
    return {
        "tasks": len(asyncio.all_tasks()),
        # Listing them takes one.
        "descriptors": len(list(Path("/proc/self/fd").iterdir())) - 1,
        "threads": threading.active_count(),
        "resident": resident_memory(),
    }
