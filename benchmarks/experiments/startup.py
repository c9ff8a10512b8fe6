"""The time from a start to the first answer, without and with a snapshot.

``vmaild serve`` is started again and again in front of a private slapd with the demo's tree, and asked for a domain
until it answers OK; what is counted runs from before the process is made, and is up to 10 ms too long, the pause
between two tries. Beside it, in turn: the interpreter alone, and with the imports of the command line; and a start with
a snapshot of ``--records`` records, with the directory and without it (until the first and the last of them serve).
Needs slapd.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.experiments.experiment import Run
from benchmarks.report.output import ROOT
from benchmarks.report.rows import Aim, Section
from benchmarks.site.population import address, mailbox
from benchmarks.site.site import MeasurementFailed, Site
from vmaild.demo.ask import ask
from vmaild.demo.daemon import DaemonProcess, Listen
from vmaild.demo.process import free_port
from vmaild.errors import ProtocolError
from vmaild.lookup import NODATA, Status
from vmaild.snapshot import file

PATIENCE = 30.0
MAP = "virtual_mailbox_maps"
KNOWN = address(0)

SECTIONS = (Section("startup", "Start", "", "bars", "time"),)
AIMS: tuple[Aim, ...] = ()
OPTIONS = {"rounds": (15, ""), "records": (200_000, "of the snapshot")}


def measure(run: Run) -> None:
    """All rounds; a first start, which reads files from disk, does not count."""
    with Site(1, run.say, syncprov=True) as site:
        state = site.new_home("state")
        state.mkdir()
        os.environ["STATE_DIRECTORY"] = str(state)
        daemon = DaemonProcess(site.home, [site.slapd.uri], [Listen(f"inet:127.0.0.1:{free_port()}")])
        daemon.start()
        _until_found(daemon, KNOWN)
        daemon.stop()
        _enlarge(state / "snapshot", run.arguments.records)
        saved = (state / "snapshot").read_bytes()
        for _ in run.rounds():
            for what, seconds in _took(site, daemon, state / "snapshot", saved, run.arguments.records).items():
                run.rows.add("startup", what, 0, {"time": 1e3 * seconds})


def _took(site: Site, daemon: DaemonProcess, snapshot: Path, saved: bytes, records: int) -> dict[str, float]:
    took = {
        "python": _seconds(lambda: _python("")),
        "python, vmaild's imports": _seconds(lambda: _python("import vmaild.cli")),
    }
    snapshot.unlink(missing_ok=True)
    took["vmaild"] = _seconds(daemon.start)
    daemon.stop()
    snapshot.write_bytes(saved)
    began = _begin(daemon)
    took["vmaild, with a snapshot"] = _until_found(daemon, KNOWN) - began
    daemon.stop()
    site.slapd.stop()
    snapshot.write_bytes(saved)
    began = _begin(daemon)
    took["vmaild, a snapshot and no LDAP: the first"] = _until_found(daemon, KNOWN) - began
    took["vmaild, a snapshot and no LDAP: the last"] = _until_found(daemon, address(records)) - began
    daemon.stop()
    site.slapd.start()
    return took


def _begin(daemon: DaemonProcess) -> float:
    """Make the process, and wait for nothing. Returns when that began."""
    began = time.perf_counter()
    daemon._process.start(lambda: True, PATIENCE)
    return began


def _until_found(daemon: DaemonProcess, key: str) -> float:
    """Returns when the key was answered."""
    give_up = time.perf_counter() + PATIENCE
    while time.perf_counter() < give_up:
        try:
            if ask(daemon.address, MAP, key).status is Status.FOUND:
                return time.perf_counter()
        except (OSError, ProtocolError):
            pass
        time.sleep(0.005)
    raise MeasurementFailed(f"{key} was not answered: {daemon.last_words()}")


def _enlarge(path: Path, records: int) -> None:
    """Add records to a snapshot, of the kind that its record of ``KNOWN`` is of."""
    header, pieces = file.read(path)
    kept = [one for piece in pieces for one in file.records_of(piece)]
    key, known = next(one for one in kept if one[0].endswith(KNOWN.encode()))
    prefix = key.partition(b" ")[0] + b" "
    place = next(number for number, one in enumerate(known) if type(one) is bytes)

    def chunks() -> Iterator[bytes]:
        yield from pieces
        for number in range(1, records + 1):
            one = [mailbox(number).encode() if n == place else NODATA for n in range(len(known))]
            yield file.line_of(prefix + address(number).encode(), one) or b""

    file.write(path, {name: value for name, value in header.items() if name != "vmaild"}, chunks())


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _python(code: str) -> None:
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
