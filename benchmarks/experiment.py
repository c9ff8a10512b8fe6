"""What the experiments (compare, growth, interference) have in common: options, files, exit status."""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.machine import machine
from benchmarks.measure import MeasurementFailed
from benchmarks.postmap import PostmapFailed
from vmaild.admin import ControlError
from vmaild.demo.process import ProcessError

EXIT_FAILED, EXIT_USAGE = 1, 2

Result = dict[str, Any]


def add_common(parser: argparse.ArgumentParser) -> None:
    """Options of every experiment."""
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("benchmark-results"),
        metavar="DIR",
        help="directory for the JSON, the tables and the picture (default: %(default)s)",
    )
    parser.add_argument("--no-picture", action="store_true", help="no PNG, and so no need of matplotlib")


def say(text: str) -> None:
    """A line of progress on standard error."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def run_experiment(
    arguments: argparse.Namespace,
    name: str,
    measure: Callable[[], Result],
    report: Callable[[Result], str],
    draw: str,
) -> int:
    """Measure, write NAME.json, NAME.md and NAME.png, and print the tables; returns the exit status.

    ``draw`` is the function of ``benchmarks.plots`` that makes the picture.
    """
    if not arguments.no_picture and importlib.util.find_spec("matplotlib") is None:
        print("matplotlib is missing: install vmaild[bench], or give --no-picture", file=sys.stderr)
        return EXIT_USAGE
    arguments.output.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    try:
        result = {"experiment": name, "machine": machine(), **measure()}
    except (MeasurementFailed, PostmapFailed, ProcessError, ControlError, OSError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return EXIT_FAILED
    result["minutes"] = (time.monotonic() - began) / 60
    text = f"{report(result)}\n\n{about(result['machine'])}\n"
    (arguments.output / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
    (arguments.output / f"{name}.md").write_text(text)
    print(text)
    if not arguments.no_picture:
        # Only here, since the picture's library takes a second to load and is no need of the rest.
        from benchmarks import plots

        getattr(plots, draw)(result, arguments.output / f"{name}.png")
    return 0


def about(where: dict[str, str]) -> str:
    """The machine in one line."""
    return (
        f"Measured {where['date']} on {where['cores']} cores ({where['processor']}), {where['system']},"
        f" Linux {where['kernel']}, Python {where['python']}, uvloop {where['uvloop']},"
        f" Postfix {where['postfix']}, OpenLDAP {where['openldap']}, vmaild {where['commit']}."
    )
