"""``python -m tests.fuzz TARGET SECONDS``: fuzz one target for so long; the exit status is not 0 when it found a bug.

The input that failed is left in the current directory as ``crash-...``, where atheris names it.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from pathlib import Path

import atheris

MAX_LENGTH = 12_000
"""Bytes of an input: more than the longest request."""


def main() -> None:
    """Instrument, seed, run."""
    logging.disable()
    name, seconds = sys.argv[1:]
    with atheris.instrument_imports(include=["vmaild"]):
        from tests.fuzz.targets import TARGETS
    target = TARGETS[name]
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(target.seeds):
            Path(corpus, str(number)).write_bytes(seed)
        options = [f"-max_total_time={seconds}", f"-max_len={MAX_LENGTH}", "-timeout=10", "-print_final_stats=1"]
        atheris.Setup([sys.argv[0], *options, corpus], target.run)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
