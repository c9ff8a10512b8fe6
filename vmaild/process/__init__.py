"""The process that the daemon runs in: its log, its watchdog, its descriptors, systemd, and its garbage collector.

``open_log`` writes the log without making anyone wait, ``LogOnce`` keeps it short, ``Watchdog`` ends a process whose
loop stands still, ``descriptors`` shares out the open files that the system allows, ``systemd`` is notifications,
inherited sockets and credentials, ``resources_in_use`` counts what a leak would add to, ``GcTuning`` keeps the garbage
collector away from the cached answers.

Every part of vmaild may import from here, so nothing here imports any of them.
"""

from vmaild.process import descriptors, systemd
from vmaild.process.gc_tuning import GcTuning
from vmaild.process.log import Log, escape, open_log
from vmaild.process.log_once import LogOnce
from vmaild.process.resources import resident_memory, resources_in_use
from vmaild.process.watchdog import Watchdog

__all__ = [
    "GcTuning",
    "Log",
    "LogOnce",
    "Watchdog",
    "descriptors",
    "escape",
    "open_log",
    "resident_memory",
    "resources_in_use",
    "systemd",
]
