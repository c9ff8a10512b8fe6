"""Where a result goes: the options that every program has, and NAME.json, NAME.md and NAME.png.

``figures DIR`` (``make figures``) makes the tables and pictures again from the JSON files of a directory.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from benchmarks.report.rows import Result
from benchmarks.report.tables import report

T = TypeVar("T")

DEFAULT = Path("benchmark-results")


def new_parser(name: str, about: str | None) -> argparse.ArgumentParser:
    """A program's parser. ``about`` is its docstring."""
    formatter = argparse.RawDescriptionHelpFormatter
    return argparse.ArgumentParser(prog=f"python -m benchmarks {name}", description=about, formatter_class=formatter)


def add_output(parser: argparse.ArgumentParser) -> None:
    """Options of every program."""
    group = parser.add_argument_group("result")
    where = f"directory for JSON, tables and picture (default: {DEFAULT}, and none with --json)"
    group.add_argument("--output", type=Path, metavar="DIR", help=where)
    group.add_argument("--json", action="store_true", help="JSON on standard output in place of the tables")
    group.add_argument("--no-picture", action="store_true", help="no PNG, and so no need of matplotlib")
    group.add_argument("--no-progress", action="store_true", help="nothing on standard error while it runs")


def check_output(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """End with a usage error now, and not after the measurement, when the result could not be written."""
    if arguments.output is None and not arguments.json:
        arguments.output = DEFAULT
    pictures = arguments.output is not None and not arguments.no_picture
    if pictures and importlib.util.find_spec("matplotlib") is None:
        parser.error("matplotlib is missing: install vmaild[bench], or give --no-picture")
    if arguments.output is not None:
        try:
            arguments.output.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            parser.error(f"--output: {error}")


def write(arguments: argparse.Namespace, name: str, result: Result) -> None:
    """Print a result, and write its files."""
    text = report(result)
    print(json.dumps(result, indent=1) if arguments.json else text)
    if arguments.output is not None:
        (arguments.output / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
        _show(result, text, arguments.output / name, not arguments.no_picture)


def _show(result: Result, text: str, path: Path, picture: bool) -> None:
    path.with_suffix(".md").write_text(text)
    if picture:
        # Only here, since the picture's library takes a second to load and is no need of the rest.
        from benchmarks.report.pictures import draw

        draw(result, path.with_suffix(".png"))


def typed(parse: Callable[[str], T]) -> Callable[[str], T]:
    """``parse`` for argparse, which shows what a ``ValueError`` says only in this way."""

    def convert(text: str) -> T:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return convert


def share(text: str) -> float:
    """A share from 0 to 1, written ``0.1`` or ``10%``."""
    number = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    if not 0 <= number <= 1:
        raise ValueError(f"{text!r} is not from 0 to 1, or 0% to 100%")
    return number


def main(argv: Sequence[str]) -> int:
    """``python -m benchmarks figures``; returns the exit status."""
    parser = new_parser("figures", __doc__)
    parser.add_argument("directory", type=Path, nargs="?", default=DEFAULT, help="(default: %(default)s)")
    parser.add_argument("--no-picture", action="store_true", help="the tables alone")
    arguments = parser.parse_args(argv)
    files = sorted(arguments.directory.glob("*.json"))
    if not files:
        parser.error(f"{arguments.directory} has no JSON files")
    for file in files:
        result = json.loads(file.read_text())
        _show(result, report(result), file.with_suffix(""), not arguments.no_picture)
        print(file.with_suffix(""))
    return 0
