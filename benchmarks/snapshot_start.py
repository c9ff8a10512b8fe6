"""How long a start takes with a snapshot: ``python -m benchmarks.snapshot_start [--records N] [--rounds N]``.

The daemon of ``benchmarks.startup`` with a snapshot of so many records in its state directory, by turns with LDAP and
without: seconds from before the process is made until the first answer; without LDAP until the first of the records
serves, and the last. They are up to 5 ms too long, the pause between two tries. Beside each the CPU seconds that the
process has used by then, which another load of the machine changes less.
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

from benchmarks.machine import machine
from benchmarks.population import address, mailbox
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


def cpu(pid: int) -> float:
    """Seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def seconds_until(daemon: DaemonProcess, key: str, since: float) -> tuple[float, float]:
    """Seconds from ``since`` until the key is answered, and the daemon's CPU seconds by then."""
    while True:
        try:
            if ask(daemon.address, MAP, key).status is Status.FOUND:
                return time.perf_counter() - since, cpu(daemon.pid)
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


def measure(home: Path, records: int, rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Seconds of each start, by the clock and of CPU, but for the first of each, which reads files from disk."""
    state = home / "state"
    state.mkdir()
    os.environ["STATE_DIRECTORY"] = str(state)
    last = address(records - 1)
    took: dict[str, list[tuple[float, float]]] = {"with LDAP": [], "without: first": [], "without: last": []}
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
        clock, used = zip(*each, strict=True)
        told = f"{statistics.median(clock):.3f} s, {min(clock):.3f} to {max(clock):.3f}"
        print(f"{name:14} median {told}; CPU {statistics.median(used):.2f} s")
    if options.json:
        result = {"machine": machine(), "records": options.records, "seconds": took}
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
