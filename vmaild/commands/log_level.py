"""``vmaild log-level [LEVEL]``: the level of the running daemon's log, until it is changed again or restarted."""

from __future__ import annotations

import argparse
import os

from vmaild import admin
from vmaild.commands.session import control_path, print_json


def run(options: argparse.Namespace) -> int:
    """Set the level, if one is given, and print the one that holds. An unknown level ends with 64."""
    path = control_path(options)
    words = [os.fsencode(options.level)] if options.level else []
    level = admin.ask(path, b"log-level", *words)["log_level"]
    if options.json:
        print_json({"log_level": level})
    else:
        print(level)
    return os.EX_OK
