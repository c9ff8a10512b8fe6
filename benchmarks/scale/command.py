"""How cost grows from 10,000 to 1,000,000 accounts: ``python -m benchmarks scale [--accounts N ...] [--output DIR]``.

Writes ``scale.json``, ``scale.md`` and, with matplotlib, ``scale.png``. Needs slapd and ldap-utils; for a million
accounts 3 GB of disk, 4 GB of memory and a quarter of an hour.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.scale.measure import Figures, Trial
from benchmarks.scale.report import draw, report

SIZES = (10_000, 100_000, 1_000_000)


def say(text: str) -> None:
    """A line of progress on standard error."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks scale", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--accounts", type=int, nargs="+", default=list(SIZES), metavar="N")
    parser.add_argument("--output", type=Path, default=Path("benchmark-results"), metavar="DIR")
    parser.add_argument("--no-picture", action="store_true", help="no PNG, and so no need of matplotlib")
    options = parser.parse_args(argv)
    options.output.mkdir(parents=True, exist_ok=True)
    sizes: list[Figures] = []
    for accounts in sorted(options.accounts):
        with tempfile.TemporaryDirectory(prefix="vmaild-scale-") as name:
            sizes.append(Trial(accounts, Path(name), say).all())
        # After each size, so that what took long is not lost with what comes after it.
        (options.output / "scale.json").write_text(json.dumps(sizes, indent=1) + "\n")
    text = report(sizes)
    (options.output / "scale.md").write_text(text + "\n")
    print(text)
    if not options.no_picture and importlib.util.find_spec("matplotlib") is not None:
        draw(sizes, options.output / "scale.png")
    return 0
