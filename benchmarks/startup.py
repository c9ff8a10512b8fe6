"""How long a start takes, to the first answer from the directory: ``python -m benchmarks.startup [--json FILE]``.

``vmaild serve`` is started again and again in front of a private slapd with the demo's tree, and asked for a domain
until it answers OK; what is counted runs from before the process is made, and is up to 10 ms too long, the pause
between two tries. Beside it, by turns: the interpreter alone, and with the imports of the command line.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.machine import ROOT, machine
from vmaild.demo.daemon import DaemonProcess, Listen
from vmaild.demo.slapd import Slapd, free_port
from vmaild.demo.tree import tree

ROUNDS = 15


def seconds(work: Callable[[], object]) -> float:
    """How long ``work`` takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def python(code: str) -> None:
    """Run ``code`` in a Python of its own."""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def measure(rounds: int) -> dict[str, list[float]]:
    """Seconds of each start. The first of each, which reads files from disk, does not count."""
    took: dict[str, list[float]] = {"python": [], "imports": [], "first answer": []}
    with tempfile.TemporaryDirectory(prefix="vmaild-benchmark-") as name:
        home = Path(name)
        with Slapd(home / "slapd", ldif=tree()) as slapd:
            for _ in range(rounds + 1):
                daemon = DaemonProcess(home, [slapd.uri], [Listen(f"inet:127.0.0.1:{free_port()}")])
                took["first answer"].append(seconds(daemon.start))
                daemon.stop()
                took["python"].append(seconds(lambda: python("")))
                took["imports"].append(seconds(lambda: python("import vmaild.cli")))
    return {name: each[1:] for name, each in took.items()}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--json", type=Path, help="write the result here too")
    options = parser.parse_args()
    took = measure(options.rounds)
    for name, each in took.items():
        print(f"{name:12} median {statistics.median(each):.3f} s, {min(each):.3f} to {max(each):.3f}")
    if options.json:
        options.json.write_text(json.dumps({"machine": machine(), "seconds": took}, indent=2) + "\n")


if __name__ == "__main__":
    main()
