"""The time from a start to the first answer from the directory.

``vmaild serve`` is started again and again in front of a private slapd with the demo's tree, and asked for a domain
until it answers OK; what is counted runs from before the process is made, and is up to 10 ms too long, the pause
between two tries. Beside it, in turn: the interpreter alone, and with the imports of the command line. Needs slapd.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable

from benchmarks.experiments.experiment import Run
from benchmarks.report.output import ROOT
from benchmarks.report.rows import Aim, Section
from benchmarks.site.site import Site
from vmaild.demo.daemon import DaemonProcess, Listen
from vmaild.demo.process import free_port

SECTIONS = (Section("startup", "Start", "", "bars", "time"),)
AIMS: tuple[Aim, ...] = ()
OPTIONS = {"rounds": (15, "")}


def measure(run: Run) -> None:
    """All rounds; a first start, which reads files from disk, does not count."""
    with Site(1, run.say) as site:
        _took(site)
        for _ in run.rounds():
            for what, seconds in _took(site).items():
                run.rows.add("startup", what, 0, {"time": 1e3 * seconds})


def _took(site: Site) -> dict[str, float]:
    daemon = DaemonProcess(site.home, [site.slapd.uri], [Listen(f"inet:127.0.0.1:{free_port()}")])
    took = {
        "python": _seconds(lambda: _python("")),
        "python, with vmaild's imports": _seconds(lambda: _python("import vmaild.cli")),
        "vmaild, to its first answer": _seconds(daemon.start),
    }
    daemon.stop()
    return took


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _python(code: str) -> None:
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
