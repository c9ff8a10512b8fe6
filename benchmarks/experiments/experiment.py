"""What every experiment has in common: options, progress, files and exit status.

Exit status: 0 done; 1 a measurement failed, an answer was wrong (then nothing is written: figures of wrong answers are
worth nothing), or an aim was missed under ``--fail-if-missed``; 2 the command line cannot be used; 130 interrupted.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from benchmarks.experiments.loads import MeasurementFailed
from benchmarks.report.machine import machine
from benchmarks.report.output import add_output, check_output, new_parser, write
from benchmarks.report.progress import Progress
from benchmarks.report.rows import Aim, Rows, Section
from benchmarks.site.clients import ClientFailed
from vmaild.admin import ControlError
from vmaild.demo.process import ProcessError

EXIT_FAILED = 1

_COMMON: Mapping[str, tuple[type, str]] = {
    "accounts": (int, "size of the directory"),
    "seconds": (float, "of each measurement"),
    "rounds": (int, "of all measurements; figures are their medians"),
}


@dataclass(frozen=True, slots=True)
class Run:
    """One run of an experiment: its options, where progress goes, and what it has measured so far."""

    arguments: argparse.Namespace
    say: Callable[[str], None]
    rows: Rows = field(default_factory=Rows)
    notes: list[str] = field(default_factory=list)

    def rounds(self) -> range:
        """The rounds."""
        return range(self.arguments.rounds)


class Experiment(Protocol):
    """What a module of ``benchmarks.experiments`` has. DEFAULTS: those of the common options that it takes."""

    SECTIONS: Sequence[Section]
    AIMS: Sequence[Aim]
    DEFAULTS: Mapping[str, float]
    __doc__: str | None

    def options(self, parser: argparse.ArgumentParser) -> None:
        """Add its own options."""

    def measure(self, run: Run) -> None:
        """Measure."""


def run_experiment(name: str, experiment: Experiment, argv: Sequence[str]) -> int:
    """Measure, print the tables, write the files; returns the exit status."""
    parser = new_parser(name, experiment.__doc__)
    for option, default in experiment.DEFAULTS.items():
        kind, text = _COMMON[option]
        parser.add_argument(f"--{option}", type=kind, default=default, metavar="N", help=f"{text} (default: {default})")
    experiment.options(parser)
    add_output(parser)
    parser.add_argument("--fail-if-missed", action="store_true", help="exit 1 when a ratio misses its aim")
    arguments = parser.parse_args(argv)
    check_output(parser, arguments)
    began = time.monotonic()
    try:
        with Progress(not arguments.no_progress) as progress:
            run = Run(arguments, progress.say)
            experiment.measure(run)
    except (MeasurementFailed, ClientFailed, ProcessError, ControlError, OSError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return EXIT_FAILED
    ratios = run.rows.ratios(experiment.AIMS)
    write(arguments, name, _result(name, experiment, run, ratios, began))
    missed = [f"{ratio['title']}: {ratio['ratio']:.2f}, aim {ratio['aim']}" for ratio in ratios if ratio["missed"]]
    if not (missed and arguments.fail_if_missed):
        return 0
    print(*missed, sep="\n", file=sys.stderr)
    return EXIT_FAILED


def _result(name: str, experiment: Experiment, run: Run, ratios: list[dict[str, Any]], began: float) -> dict[str, Any]:
    unsaid = ("output", "json", "no_picture", "no_progress", "fail_if_missed")
    return {
        "experiment": name,
        "machine": machine(),
        "settings": {key: value for key, value in vars(run.arguments).items() if key not in unsaid},
        "minutes": (time.monotonic() - began) / 60,
        "sections": [section._asdict() for section in experiment.SECTIONS],
        "rows": run.rows.as_json(),
        "ratios": ratios,
        "notes": run.notes,
    }
