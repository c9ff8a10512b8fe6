"""Looks into the daemon's memory, for who wants to know where it goes; only with ``python -m tests.soak --inside``.

Python imports this at its start. A thread in the daemon writes a line of JSON to ``inside.jsonl`` every few seconds:
what malloc has taken and what of it is in use, Python's blocks and objects, and what tracemalloc sees where
PYTHONTRACEMALLOC is set, with the lines that hold most. A file ``trim`` makes it collect garbage among the frozen
objects too, report of which types that was, and give back to the kernel what malloc has free.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import sys
import threading
import time
import tracemalloc
from collections import Counter
from pathlib import Path

INTERVAL = 5.0


_FIELDS = ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")
"""Of mallinfo2, mallinfo(3)."""


class _Mallinfo(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in _FIELDS]


def _look(libc: ctypes.CDLL) -> dict[str, object]:
    info = libc.mallinfo2()
    seen: dict[str, object] = {
        "at": time.monotonic(),
        "malloc taken": info.arena + info.hblkhd,
        "malloc in use": info.uordblks + info.hblkhd,
        "malloc free": info.fordblks,
        "python blocks": sys.getallocatedblocks(),
        "tracked objects": len(gc.get_objects()),
        "frozen objects": gc.get_freeze_count(),
        "resident": int(Path("/proc/self/statm").read_text().split()[1]) * 4096,
    }
    if tracemalloc.is_tracing():
        seen["traced"] = tracemalloc.get_traced_memory()[0]
        seen["lines"] = [
            (str(one.traceback), one.size, one.count) for one in tracemalloc.take_snapshot().statistics("lineno")[:25]
        ]
    return seen


def _lost() -> list[tuple[str, int]]:
    """The types of the garbage among frozen objects, which no pass of the collector would have found."""
    gc.collect()
    gc.unfreeze()
    gc.set_debug(gc.DEBUG_SAVEALL)
    gc.collect()
    gc.set_debug(0)
    types = Counter(type(one).__qualname__ for one in gc.garbage)
    gc.garbage.clear()
    gc.collect()
    return types.most_common(20)


def _look_on(home: Path) -> None:
    libc = ctypes.CDLL("libc.so.6")
    libc.mallinfo2.restype = _Mallinfo
    while True:
        time.sleep(INTERVAL)
        seen = _look(libc)
        if (home / "trim").exists():
            seen |= {"lost": _lost(), "collected": _look(libc)}
            libc.malloc_trim(0)
            seen["trimmed"] = _look(libc)
            (home / "trim").unlink()
        with (home / "inside.jsonl").open("a") as file:
            file.write(json.dumps(seen) + "\n")


# The watcher beside the daemon is Python as well.
if (where := os.environ.get("VMAILD_SOAK_INSIDE")) and "serve" in sys.orig_argv:
    threading.Thread(target=_look_on, args=(Path(where),), daemon=True).start()
