"""All experiments in order, with the settings that are published: ``make measure``, on a quiet machine.

Each is a process of its own and writes its JSON, tables and picture to ``--output``. What a figure needs besides time
is silence: the load average is printed before each, and stands in each JSON.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.report.machine import ROOT, machine
from benchmarks.report.output import new_parser

MOST_SECONDS = 600.0
"""An experiment that takes longer has failed."""

PUBLISHED = {
    "startup": "--rounds 15",
    "hot_path": "--rounds 5 --seconds 1.5",
    "growth": "--seconds 4",
    "interference": "--rounds 3 --seconds 10",
    "directory": "--rounds 3 --seconds 1",
    "miss": "--rounds 3 --seconds 2.5",
    "compare": "--rounds 3 --seconds 2",
}
"""Experiments and their options."""


def main(argv: Sequence[str]) -> int:
    """Run them; returns the exit status: 1 when one failed."""
    parser = new_parser("measure", __doc__)
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks/results", metavar="DIR")
    parser.add_argument("--only", nargs="+", choices=PUBLISHED, default=list(PUBLISHED), metavar="EXPERIMENT")
    arguments = parser.parse_args(argv)
    print(*(f"{name}: {value}" for name, value in machine().items()), sep="\n")
    failed, began = [], time.monotonic()
    for name in arguments.only:
        print(f"== {name}, load average {os.getloadavg()[0]:.2f}", flush=True)
        command = [sys.executable, "-m", "benchmarks", name, *PUBLISHED[name].split(), "--output", arguments.output]
        started = time.monotonic()
        try:
            status = subprocess.run(command, cwd=ROOT, check=False, timeout=MOST_SECONDS).returncode
        except subprocess.TimeoutExpired:
            status = 1
        failed += [name] if status else []
        print(f"== {name} took {(time.monotonic() - started) / 60:.1f} minutes", flush=True)
    print(f"== {(time.monotonic() - began) / 60:.1f} minutes in all; failed: {', '.join(failed) or 'none'}")
    return 1 if failed else 0
