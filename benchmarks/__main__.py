"""The benchmark of vmaild: ``python -m benchmarks PROGRAM --help`` says what a program does and takes."""

import argparse
import importlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

EXPERIMENTS = (
    "startup", "freshness", "hearing", "memory", "hot_path", "growth", "interference", "directory", "miss", "compare",
    "scale",
)  # fmt: skip
"""Modules of ``benchmarks.experiments``; the defaults of their options are what is published."""
PROGRAMS = {
    "load": "benchmarks.load.load_command",
    "keys": "benchmarks.load.keys_command",
    **{name: f"benchmarks.experiments.{name}" for name in EXPERIMENTS},
    "model": "benchmarks.experiments.model",
    "measure": "benchmarks.__main__",
    "figures": "benchmarks.report.output",
}
"""Modules, of which all but the experiments have a ``main`` of arguments."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one program; the exit status is described in ``benchmarks/README.md``."""
    listed = re.findall(r"\| `(\w+)` \| (.+?) \|", Path(__file__).with_name("README.md").read_text())
    abouts = "programs:\n" + "\n".join(f"  {name:14}{about}" for name, about in listed)
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__, epilog=abouts, formatter_class=raw)
    parser.add_argument("program", choices=PROGRAMS, metavar="PROGRAM")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="of the program")
    arguments = parser.parse_args(argv)
    name, rest = arguments.program, arguments.arguments
    try:
        if name == "measure":
            return measure(rest)
        # Only what is asked for is imported: vmaild.directory changes what bonsai makes of an entry.
        module = importlib.import_module(PROGRAMS[name])
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
    text = "(default: all but scale, which takes half an hour)"
    parser.add_argument("--only", nargs="+", choices=EXPERIMENTS, default=EXPERIMENTS[:-1], metavar="NAME", help=text)
    arguments = parser.parse_args(argv)
    failed = []
    for name in arguments.only:
        print(f"== {name}, load average {os.getloadavg()[0]:.2f}", flush=True)
        command = [sys.executable, "-m", "benchmarks", name, "--output", str(arguments.output)]
        if subprocess.run(command, cwd=ROOT, check=False).returncode:
            failed.append(name)
    print(f"== failed: {', '.join(failed) or 'none'}")
    return 1 if failed else 0


if __name__ == "__main__":
    # An experiment stops its servers on the way out, also when it is told to end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    sys.exit(main())
