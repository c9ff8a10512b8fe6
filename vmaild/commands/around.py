"""The parser of the commands for what stands around vmaild: ``snippets`` and ``benchmark``."""

from __future__ import annotations

import argparse
from typing import Any


def add_to(commands: argparse._SubParsersAction[Any], parents: list[argparse.ArgumentParser]) -> None:
    """Add them to ``commands``."""
    snippets = commands.add_parser(
        "snippets", parents=parents, help="print configuration for Postfix, Dovecot, Courier, slapd, systemd, monitors"
    )
    snippets.add_argument("name", metavar="NAME", nargs="?", help="print this one, filled in; without it, list them")
    snippets.set_defaults(run=_snippets)
    # Nothing begins with this, so that no argument is taken for an option of vmaild's: argparse leaves a first one out
    # of REMAINDER.
    benchmark = commands.add_parser(
        "benchmark", help="measure a vmaild, or what else Postfix can ask", add_help=False, prefix_chars="\0"
    )
    benchmark.add_argument("arguments", nargs=argparse.REMAINDER, metavar="ARGUMENTS", help="--help shows them")
    benchmark.set_defaults(run=_benchmark)


# They are imported when they run, as all commands are.


def _snippets(options: argparse.Namespace) -> int:
    from vmaild.commands import snippets

    return snippets.run(options)


def _benchmark(options: argparse.Namespace) -> int:
    from vmaild.commands import benchmark

    return benchmark.run(options)
