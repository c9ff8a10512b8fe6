"""``vmaild flush [MAP [KEY]]``: make the running daemon forget cached answers."""

from __future__ import annotations

import argparse
import os

from vmaild import admin
from vmaild.commands.session import control_path, fail, print_json, wrong_map


def run(options: argparse.Namespace) -> int:
    """Forget, and print how many there were. A map that is not configured ends with 64."""
    if wrong := wrong_map(options):
        return fail(os.EX_USAGE, wrong)
    map_name = os.fsencode(options.map) if options.map else None
    key = os.fsencode(options.key) if options.key is not None else None
    flushed = admin.flush(control_path(options), map_name, key)
    if options.json:
        print_json({"flushed": flushed})
    else:
        print(f"{flushed} answers forgotten")
    return os.EX_OK
