"""The time from a start to the first answer, without and with a snapshot, with the directory and without it."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

from benchmarks.experiments.experiment import Run
from benchmarks.report.output import ROOT
from benchmarks.report.rows import Section
from benchmarks.site.population import MAILBOXES, address
from benchmarks.site.site import Site, Vmaild, seconds_of, wait_until
from vmaild.demo.ask import ask
from vmaild.errors import ProtocolError
from vmaild.lookup import Status

SECTIONS = (Section("startup", "Start", "", "bars", "time"),)
OPTIONS = {"rounds": (10, ""), "records": (200_000, "of the snapshot")}


def measure(run: Run) -> None:
    """All rounds; a first start, which reads files from disk, does not count."""
    with Site(run.arguments.records, run.say, syncprov=True) as site:
        vmaild = site.vmaild(cache={"max_entries": 2 * run.arguments.records})
        run.say("filling the cache")
        site.warm(vmaild)
        vmaild.stop()
        snapshot = vmaild.home / "state/snapshot"
        saved = snapshot.read_bytes()
        for _ in run.rounds():
            for what, seconds in _took(site, vmaild, snapshot, saved):
                run.rows.add("startup", what, 0, {"time": 1e3 * seconds})


def _took(site: Site, vmaild: Vmaild, snapshot: Path, saved: bytes) -> Iterator[tuple[str, float]]:
    for name, code in (("python", ""), ("python, vmaild's imports", "import vmaild.cli")):
        yield name, seconds_of(partial(subprocess.run, [sys.executable, "-c", code], check=True, cwd=ROOT))
    snapshot.unlink()
    yield "vmaild", seconds_of(vmaild.start)
    for name in ("vmaild, with a snapshot", "vmaild, a snapshot and no LDAP: the first"):
        vmaild.stop()
        snapshot.write_bytes(saved)
        began = time.perf_counter()
        vmaild.begin()
        yield name, _found(vmaild, 0) - began
        # The directory is there for the first only.
        site.slapd.stop()
    yield "vmaild, a snapshot and no LDAP: the last", _found(vmaild, site.accounts - 1) - began
    vmaild.stop()
    site.slapd.start()


def _found(vmaild: Vmaild, number: int) -> float:
    """Wait for an answer; returns the time at which it is there."""

    def found() -> bool:
        with suppress(OSError, ProtocolError):
            return ask(vmaild.address, MAILBOXES.decode(), address(number)).status is Status.FOUND
        return False

    wait_until(found, f"an answer for {address(number)}", 0.005)
    return time.perf_counter()
