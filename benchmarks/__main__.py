"""The benchmark of vmaild: ``python -m benchmarks PROGRAM --help`` says what a program does and takes."""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

EXIT_INTERRUPTED = 130
"""As a shell reports a process that ended by SIGINT."""

EXIT_TERMINATED = 143
"""The same for SIGTERM."""

MOST_SECONDS = 600.0
"""An experiment of ``measure`` that takes longer has failed."""

EXPERIMENTS = {
    "startup": ("the time from start to first answer, without and with a snapshot", "--rounds 10"),
    "freshness": ("how long a change in the directory takes to show", "--rounds 10"),
    "hearing": ("what hearing of changes costs beside a load", "--seconds 6 --entries 0 10000"),
    "memory": ("what a record takes, and how well a cache keeps to its bound", "--records 100000 --flood 16"),
    "hot_path": ("the cached answer, beside the bare protocol", "--rounds 4 --seconds 1.2"),
    "growth": ("how cost grows with answers, connections and entries", "--seconds 2.5"),
    "interference": ("cached answers while others miss on a slow directory", "--rounds 3 --seconds 10"),
    "directory": ("the directory layer alone, beside other clients", "--rounds 3 --seconds 1"),
    "miss": ("answers that are not cached, beside ldap:", "--rounds 3 --seconds 2"),
    "compare": ("vmaild and its rivals, side by side", "--rounds 3 --seconds 1"),
    "scale": ("how cost grows from 10,000 to 1,000,000 accounts", "--seconds 5"),
}
"""Modules of ``benchmarks.experiments``: what they do, and the options with which they are published."""

SCALE = {"model": ("benchmarks.experiments.model", "what a site of any size needs, by the figures of scale")}
"""Modules with a ``main``, and what they do. They take too long for ``measure``, or measure nothing."""

PROGRAMS = {
    "load": "put a server under load, yours or another one",
    "keys": "write the keys of your directory, with the right answers",
    "figures": "make tables and pictures again from JSON files",
    "measure": "all experiments in order, as they are published",
    **{name: about for name, (about, _) in EXPERIMENTS.items()},
    **{name: about for name, (_, about) in SCALE.items()},
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one program; the exit status is described in ``benchmarks/README.md``."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="programs:\n" + "\n".join(f"  {name:14}{text}" for name, text in PROGRAMS.items()),
    )
    parser.add_argument("program", choices=PROGRAMS, metavar="PROGRAM")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="of the program")
    arguments = parser.parse_args(argv)
    try:
        return _run(arguments.program, arguments.arguments)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except ModuleNotFoundError as error:
        parser.error(f"{error.name} is missing: pip install 'vmaild[bench]'")


def _run(name: str, argv: Sequence[str]) -> int:
    # Only what is asked for is imported: vmaild.directory changes what bonsai makes of an entry.
    if name in EXPERIMENTS:
        from benchmarks.experiments.experiment import run_experiment

        return run_experiment(name, importlib.import_module(f"benchmarks.experiments.{name}"), argv)
    if name in SCALE:
        return int(importlib.import_module(SCALE[name][0]).main(argv))
    if name == "measure":
        return measure(argv)
    module = "report.output" if name == "figures" else f"load.{name}_command"
    return int(importlib.import_module(f"benchmarks.{module}").main(argv))


def measure(argv: Sequence[str]) -> int:
    """All experiments, each in a process of its own, on a machine that does nothing else; 1 when one failed."""
    from benchmarks.report import output

    parser = output.new_parser("measure", measure.__doc__)
    parser.add_argument(
        "--output", default=output.ROOT / "benchmarks/results", metavar="DIR", help="(default: %(default)s)"
    )
    parser.add_argument(
        "--only",
        nargs="+",
        choices=EXPERIMENTS,
        default=[one for one in EXPERIMENTS if one != "scale"],
        metavar="EXPERIMENT",
    )
    arguments = parser.parse_args(argv)
    print(*(f"{name}: {value}" for name, value in output.machine().items()), sep="\n")
    failed, began = [], time.monotonic()
    for name in arguments.only:
        print(f"== {name}, load average {os.getloadavg()[0]:.2f}", flush=True)
        options = [*EXPERIMENTS[name][1].split(), "--output", str(arguments.output)]
        started = time.monotonic()
        try:
            command = [sys.executable, "-m", "benchmarks", name, *options]
            status = subprocess.run(command, cwd=output.ROOT, check=False, timeout=MOST_SECONDS).returncode
        except subprocess.TimeoutExpired:
            status = 1
        failed += [name] if status else []
        print(f"== {name} took {(time.monotonic() - started) / 60:.1f} minutes", flush=True)
    print(f"== {(time.monotonic() - began) / 60:.1f} minutes in all; failed: {', '.join(failed) or 'none'}")
    return 1 if failed else 0


if __name__ == "__main__":
    # An experiment stops its servers on the way out, also when it is told to end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(EXIT_TERMINATED))
    sys.exit(main())
