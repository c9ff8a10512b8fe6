"""``python -m benchmarks COMMAND ...``: load, keys, compare, growth, interference, miss and freshness."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence

from benchmarks import compare, freshness, growth, interference, keys_command, load_command, miss

EXIT_INTERRUPTED = 130
"""As a shell reports a process that ended by SIGINT."""

EXIT_TERMINATED = 143
"""The same for SIGTERM."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is described in ``benchmarks/README.md``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in (load_command, keys_command, compare, growth, interference, miss, freshness):
        command.add_to(commands)
    arguments = parser.parse_args(argv)
    try:
        status: int = arguments.run(arguments)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return status


if __name__ == "__main__":
    # An experiment stops its servers on the way out, also when it is told to end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(EXIT_TERMINATED))
    sys.exit(main())
