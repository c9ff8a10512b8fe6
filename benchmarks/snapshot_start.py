"""How long a start takes with a snapshot: ``python -m benchmarks.snapshot_start [--records N] [--rounds N]``.

The daemon of ``benchmarks.startup`` with a snapshot of so many records in its state directory, by turns with LDAP and
without: seconds from before the process is made until the first answer; without LDAP until the first of the records
serves, and the last. Both are up to 10 ms too long, the pause between two tries.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.report.output import machine
from benchmarks.site.population import address, mailbox
from vmaild.demo.ask import ask
from vmaild.demo.daemon import DaemonProcess, Listen
from vmaild.demo.process import Process
from vmaild.demo.slapd import Slapd, free_port
from vmaild.demo.tree import tree
from vmaild.errors import ProtocolError
from vmaild.lookup import NODATA, Status
from vmaild.snapshot import file

RECORDS = 200_000
ROUNDS = 7
PATIENCE = 30.0
MAP = "virtual_mailbox_maps"
KNOWN = "user2@domain2.example"


def enlarge(path: Path, records: int) -> None:
    """Add records to a snapshot, of the kind that its last one is of."""
    header, pieces = file.read(path)
    kept = [one for piece in pieces for one in file.records_of(piece)]
    key, known = next(one for one in kept if one[0].endswith(KNOWN.encode()))
    prefix = key.partition(b" ")[0] + b" "
    place = next(number for number, one in enumerate(known) if type(one) is bytes)

    def chunks() -> Iterator[bytes]:
        yield from pieces
        for number in range(records):
            one = [mailbox(number).encode() if n == place else NODATA for n in range(len(known))]
            yield file.line_of(prefix + address(number).encode(), one) or b""

    file.write(path, {name: value for name, value in header.items() if name != "vmaild"}, chunks())


def seconds_until(daemon: DaemonProcess, key: str, since: float) -> float:
    """Seconds from ``since`` until the key is answered."""
    while True:
        try:
            if ask(daemon.address, MAP, key).status is Status.FOUND:
                return time.perf_counter() - since
        except (OSError, ProtocolError):
            pass
        if time.perf_counter() > since + PATIENCE:
            raise TimeoutError(f"{key} was not answered: {daemon.last_words()}")
        time.sleep(0.005)


def start(daemon: DaemonProcess) -> float:
    """Make the process, and wait for nothing. Returns when that began."""
    process: Process = daemon._process
    began = time.perf_counter()
    process.start(lambda: True, PATIENCE)
    return began


def measure(home: Path, records: int, rounds: int) -> dict[str, list[float]]:
    """Seconds of each start. The first of each, which reads files from disk, does not count."""
    state = home / "state"
    state.mkdir()
    os.environ["STATE_DIRECTORY"] = str(state)
    last = address(records - 1)
    took: dict[str, list[float]] = {"with LDAP": [], "without: first": [], "without: last": []}
    with Slapd(home / "slapd", ldif=tree(), syncprov=True) as slapd:
        daemon = DaemonProcess(home, [slapd.uri], [Listen(f"inet:127.0.0.1:{free_port()}")])
        daemon.start()
        seconds_until(daemon, KNOWN, time.perf_counter())
        daemon.stop()
        enlarge(state / "snapshot", records)
        saved = (state / "snapshot").read_bytes()
        for _ in range(rounds + 1):
            (state / "snapshot").write_bytes(saved)
            took["with LDAP"].append(seconds_until(daemon, KNOWN, start(daemon)))
            daemon.stop()
            slapd.stop()
            (state / "snapshot").write_bytes(saved)
            began = start(daemon)
            took["without: first"].append(seconds_until(daemon, KNOWN, began))
            took["without: last"].append(seconds_until(daemon, last, began))
            daemon.stop()
            slapd.start()
    return {name: each[1:] for name, each in took.items()}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--records", type=int, default=RECORDS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--json", type=Path, help="write the result here too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="vmaild-benchmark-") as name:
        took = measure(Path(name), options.records, options.rounds)
    for name, each in took.items():
        print(f"{name:14} median {statistics.median(each):.3f} s, {min(each):.3f} to {max(each):.3f}")
    if options.json:
        result = {"machine": machine(), "records": options.records, "seconds": took}
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
