"""``python -m benchmarks keys``: write the keys of a directory as an expectation file.

The file serves ``load`` as ``--keys`` and ``--expect``. Exit status: 0 done; 2 the directory could not be read.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from benchmarks.directory_keys import DirectoryUnreadable, directory_lines
from benchmarks.expectation import ANY, Expected, Line, format_line
from benchmarks.options import add_directory, directory_source
from vmaild.lookup import Status

EXIT_USAGE = 2


def add_to(commands: Any) -> None:
    """Add the command and its options to the parser."""
    parser = commands.add_parser(
        "keys",
        help="write an expectation file",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    parser.add_argument("--map", default="virtual_mailbox_maps", metavar="NAME", help="(default: %(default)s)")
    parser.add_argument(
        "--others-not-found", action="store_true", help="every other key is not found: right without catch-alls"
    )
    add_directory(parser)


def run(arguments: argparse.Namespace) -> int:
    """Write the file to standard output; returns the exit status."""
    if arguments.directory is None:
        print("keys: give --directory URI", file=sys.stderr)
        return EXIT_USAGE
    map_name = arguments.map.encode()
    out = sys.stdout.buffer
    try:
        for line in directory_lines(directory_source(arguments), map_name):
            out.write(format_line(line))
    except DirectoryUnreadable as error:
        print(f"keys: {error}", file=sys.stderr)
        return EXIT_USAGE
    if arguments.others_not_found:
        out.write(format_line(Line(map_name, ANY, Expected(Status.NOT_FOUND))))
    out.flush()
    return 0
