"""The time from a start to the first answer from the directory.

``vmaild serve`` is started again and again in front of a private slapd with the demo's tree, and asked for a domain
until it answers OK; what is counted runs from before the process is made, and is up to 10 ms too long, the pause
between two tries. Beside it, in turn: the interpreter alone, and with the imports of the command line. Needs slapd.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.experiments.experiment import Run
from benchmarks.report.machine import ROOT
from benchmarks.report.rows import Aim, Section
from vmaild.demo.daemon import DaemonProcess, Listen
from vmaild.demo.slapd import Slapd, free_port
from vmaild.demo.tree import tree

SECTIONS = (Section("startup", "Start", "", "bars", "time"),)
AIMS: tuple[Aim, ...] = ()
DEFAULTS = {"rounds": 15}


def options(parser: argparse.ArgumentParser) -> None:
    """None of its own."""


def measure(run: Run) -> None:
    """All rounds; the first of each, which reads files from disk, does not count."""
    with tempfile.TemporaryDirectory(prefix="vmaild-benchmark-") as name:
        home = Path(name)
        with Slapd(home / "slapd", ldif=tree()) as slapd:
            for number in range(run.arguments.rounds + 1):
                run.say(f"start {number} of {run.arguments.rounds}")
                daemon = DaemonProcess(home, [slapd.uri], [Listen(f"inet:127.0.0.1:{free_port()}")])
                took = {
                    "python": _seconds(lambda: _python("")),
                    "python, with vmaild's imports": _seconds(lambda: _python("import vmaild.cli")),
                    "vmaild, to its first answer": _seconds(daemon.start),
                }
                daemon.stop()
                for what, seconds in took.items() if number else ():
                    run.rows.add("startup", what, 0, {"time": 1e3 * seconds})


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _python(code: str) -> None:
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
