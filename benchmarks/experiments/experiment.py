"""What every experiment has in common: options, progress, files, and the exit status that README.md describes."""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from benchmarks.report.output import Say, new_parser, parse, progress, write
from benchmarks.report.rows import Figures, Rows
from benchmarks.site.site import MeasurementFailed
from vmaild.admin import ControlError
from vmaild.demo.process import ProcessError

COMMON = {
    "accounts": "size of the directory",
    "seconds": "of each measurement",
    "rounds": "of all measurements; figures are their medians",
}


@dataclass(frozen=True, slots=True)
class Run:
    """One run of an experiment: its options, where progress goes, and what was measured so far."""

    arguments: argparse.Namespace
    say: Say
    rows: Rows = field(default_factory=Rows)
    notes: list[str] = field(default_factory=list)

    def rounds(self) -> Iterator[int]:
        for number in range(self.arguments.rounds):
            self.say(f"round {number + 1} of {self.arguments.rounds}")
            yield number

    def row(self, section: str, name: str, clients: int, measure: Callable[..., Figures], *given: Any) -> Figures:
        """Say what begins, ``measure`` what is ``given``, and keep the figures as a row."""
        self.say(f"{section}: {name}" + (f", {clients:,}" if clients else ""))
        figures = measure(*given)
        self.rows.add(section, name, clients, figures)
        return figures


def run_experiment(name: str, experiment: ModuleType, argv: Sequence[str]) -> int:
    """Measure, print the tables, write the files; returns the exit status.

    The module has SECTIONS, ``measure``, AIMS if there are any, and OPTIONS: default (whose type is the option's, of a
    list that of its first) and description by name; those of COMMON need none.
    """
    parser = new_parser(name)
    for option, (default, text) in experiment.OPTIONS.items():
        many = isinstance(default, list)
        shown = " ".join(map(str, default)) if many else default
        parser.add_argument(
            f"--{option}", type=type(default[0] if many else default), nargs="*" if many else None, default=default,
            metavar="N", help=f"{text or COMMON[option]} (default: {shown})",
        )  # fmt: skip
    parser.add_argument("--fail-if-missed", action="store_true", help="exit 1 when a ratio misses its aim")
    arguments = parse(parser, argv)
    began = time.monotonic()
    try:
        with progress(arguments) as say:
            experiment.measure(run := Run(arguments, say))
    except (MeasurementFailed, ProcessError, ControlError, OSError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1
    ratios = run.rows.ratios(getattr(experiment, "AIMS", ()))
    more = {"minutes": (time.monotonic() - began) / 60, "ratios": ratios, "notes": run.notes}
    write(arguments, name, experiment.SECTIONS, run.rows, settings=experiment.OPTIONS, **more)
    missed = [ratio for ratio in ratios if ratio["missed"] and arguments.fail_if_missed]
    for ratio in missed:
        print(f"{ratio['title']}: {ratio['ratio']:.2f}, aim {ratio['aim']}", file=sys.stderr)
    return 1 if missed else 0
