"""``vmaild benchmark ARGUMENTS``: the benchmark, which is a package of its own beside vmaild, or in ``vmaild/data``.

What it measures and how is in its README. Exit status: the benchmark's own; 69 when it was not installed.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from pathlib import Path

from vmaild.commands.session import fail
from vmaild.commands.snippet_files import PACKAGE


def run(options: argparse.Namespace) -> int:
    """Run it in this process."""
    place = folder()
    if place is None:
        return fail(os.EX_UNAVAILABLE, f"no benchmark in {PACKAGE / 'data'}: this vmaild was installed without it")
    sys.path.insert(0, str(place))
    status: int = importlib.import_module("benchmarks.__main__").main(options.arguments)
    return status


def folder() -> Path | None:
    """Where the package ``benchmarks`` is; None for nowhere."""
    places = (PACKAGE / "data", PACKAGE.parent)
    return next((place for place in places if (place / "benchmarks/__main__.py").exists()), None)
