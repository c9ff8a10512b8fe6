"""The benchmark of vmaild: ``python -m benchmarks PROGRAM --help`` says what a program does and takes."""

from __future__ import annotations

import argparse
import importlib
import signal
import sys
from collections.abc import Sequence

EXIT_INTERRUPTED = 130
"""As a shell reports a process that ended by SIGINT."""

EXIT_TERMINATED = 143
"""The same for SIGTERM."""

PROGRAMS = {
    "load": ("benchmarks.load.command", "put a server under load, yours or another one"),
    "keys": ("benchmarks.load.keys_command", "write the keys of your directory, with the right answers"),
    "figures": ("benchmarks.report.output", "make tables and pictures again from JSON files"),
    "measure": ("benchmarks.experiments.everything", "all experiments in order, as they are published"),
}
"""Modules with a ``main``, and what they do."""

EXPERIMENTS = {
    "compare": "vmaild and its rivals, side by side",
    "miss": "answers that are not cached, beside ldap:",
    "hot_path": "the cached answer, beside the least that Python can do",
    "growth": "how cost grows with answers, connections and entries",
    "interference": "cached answers while others miss on a slow directory",
    "directory": "the directory layer alone, beside other clients",
    "freshness": "how long a change in the directory takes to show",
    "startup": "the time from start to first answer",
}
"""Modules of ``benchmarks.experiments``, and what they do."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one program; the exit status is described in ``benchmarks/README.md``."""
    described = {name: text for name, (_, text) in PROGRAMS.items()} | EXPERIMENTS
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="programs:\n" + "\n".join(f"  {name:14}{text}" for name, text in described.items()),
    )
    parser.add_argument("program", choices=described, metavar="PROGRAM")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="of the program")
    arguments = parser.parse_args(argv)
    name = arguments.program
    try:
        if name in EXPERIMENTS:
            # Only what is asked for is imported: vmaild.directory changes what bonsai makes of an entry.
            from benchmarks.experiments.experiment import run_experiment

            return run_experiment(name, importlib.import_module(f"benchmarks.experiments.{name}"), arguments.arguments)
        return int(importlib.import_module(PROGRAMS[name][0]).main(arguments.arguments))
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


if __name__ == "__main__":
    # An experiment stops its servers on the way out, also when it is told to end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(EXIT_TERMINATED))
    sys.exit(main())
