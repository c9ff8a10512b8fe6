"""The process that the daemon runs in: what systemd and it say to each other, its watchdog, its garbage collector.

``systemd`` is notifications, inherited sockets and credentials, ``Watchdog`` ends a process whose loop stands still,
``GcTuning`` keeps the garbage collector away from the cached answers.
"""

from vmaild.process import systemd
from vmaild.process.gc_tuning import GcTuning
from vmaild.process.watchdog import Watchdog

__all__ = ["GcTuning", "Watchdog", "systemd"]
