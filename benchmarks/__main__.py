"""The benchmark of vmaild: ``python -m benchmarks PROGRAM --help`` says what a program does and takes."""

import argparse
import importlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence

EXPERIMENTS = {
    "startup": ("the time from start to first answer, without and with a snapshot", "--rounds 10"),
    "freshness": ("how long a change in the directory takes to show", "--rounds 10"),
    "hearing": ("what hearing of changes costs beside a load", "--seconds 10 --entries 0 50000"),
    "memory": ("what a record takes, and how well a cache keeps to its bound", "--records 100000 --flood 16"),
    "hot_path": ("the cached answer, beside the bare protocol", "--rounds 6 --seconds 1.2"),
    "growth": ("how cost grows with answers, connections and entries", "--seconds 2.5"),
    "interference": ("cached answers while others miss on a slow directory", "--rounds 3 --seconds 10"),
    "directory": ("the directory layer alone, beside other clients", "--rounds 3 --seconds 1"),
    "miss": ("answers that are not cached, beside ldap:", "--rounds 3 --seconds 2"),
    "compare": ("vmaild and its rivals, side by side", "--rounds 3 --seconds 1"),
    "scale": ("how cost grows from 10,000 to 1,000,000 accounts", "--seconds 5"),
}
"""Modules of ``benchmarks.experiments``: what they do, and the options with which they are published."""

PROGRAMS = {
    "load": ("benchmarks.load.load_command", "put a server under load, yours or another one"),
    "keys": ("benchmarks.load.keys_command", "write the keys of your directory, with the right answers"),
    "figures": ("benchmarks.report.output", "make tables and pictures again from JSON files"),
    "measure": ("benchmarks.__main__", "all experiments in order, as they are published"),
    **{name: (f"benchmarks.experiments.{name}", about) for name, (about, _) in EXPERIMENTS.items()},
    "model": ("benchmarks.experiments.model", "what a site of any size needs, by the figures of scale"),
}
"""Modules, of which all but the experiments have a ``main`` of arguments, and what they do."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one program; the exit status is described in ``benchmarks/README.md``."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="programs:\n" + "\n".join(f"  {name:14}{about}" for name, (_, about) in PROGRAMS.items()),
    )
    parser.add_argument("program", choices=PROGRAMS, metavar="PROGRAM")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="of the program")
    arguments = parser.parse_args(argv)
    name, rest = arguments.program, arguments.arguments
    try:
        if name == "measure":
            return measure(rest)
        # Only what is asked for is imported: vmaild.directory changes what bonsai makes of an entry.
        module = importlib.import_module(PROGRAMS[name][0])
        if name in EXPERIMENTS:
            from benchmarks.experiments.experiment import run_experiment

            return run_experiment(name, module, rest)
        return int(module.main(rest))
    except KeyboardInterrupt:
        # As a shell reports it.
        return 128 + signal.SIGINT
    except ModuleNotFoundError as error:
        parser.error(f"{error.name} is missing: pip install 'vmaild[bench]'")


def measure(argv: Sequence[str]) -> int:
    """The experiments, each in a process of its own, on a machine that does nothing else; 1 when one failed."""
    from benchmarks.report.output import ROOT, new_parser

    parser = new_parser("measure")
    parser.add_argument("--output", default=ROOT / "benchmarks/results", metavar="DIR", help="(default: %(default)s)")
    usual = [name for name in EXPERIMENTS if name != "scale"]
    text = "(default: all but scale, which takes half an hour)"
    parser.add_argument("--only", nargs="+", choices=EXPERIMENTS, default=usual, metavar="EXPERIMENT", help=text)
    arguments = parser.parse_args(argv)
    failed = []
    for name in arguments.only:
        print(f"== {name}, load average {os.getloadavg()[0]:.2f}", flush=True)
        command = [sys.executable, "-m", "benchmarks", name, *EXPERIMENTS[name][1].split()]
        if subprocess.run([*command, "--output", str(arguments.output)], cwd=ROOT, check=False).returncode:
            failed.append(name)
    print(f"== failed: {', '.join(failed) or 'none'}")
    return 1 if failed else 0


if __name__ == "__main__":
    # An experiment stops its servers on the way out, also when it is told to end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    sys.exit(main())
