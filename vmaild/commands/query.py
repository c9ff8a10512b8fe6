"""``vmaild query MAP KEY``: one answer, as the running daemon gives it, or with ``--direct`` from the directory.

The value goes to stdout. Exit status: 0 found, 1 not found, 75 a failure, whose cause stands on stderr in words; 64 no
such map; 69 the daemon is not there.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from typing import Any

from vmaild import admin, daemon
from vmaild.commands.session import configuration, control_path, fail, print_json, unknown_map
from vmaild.config import Config
from vmaild.lookup import Status
from vmaild.process import escape, open_log

Json = dict[str, Any]

EX_NOT_FOUND = 1


def run(options: argparse.Namespace) -> int:
    """Ask and print."""
    config = configuration(options)
    if wrong := unknown_map(config, options.map):
        return fail(os.EX_USAGE, wrong)
    if options.direct:
        with open_log(sys.stderr, config.daemon.log_level if options.verbose else "error"):
            told = asyncio.run(_direct(config, os.fsencode(options.map), os.fsencode(options.key)))
    else:
        told = _through_the_daemon(config, options)
    if options.json:
        print_json(told)
    return _end(told, silent=options.json)


def _through_the_daemon(config: Config, options: argparse.Namespace) -> Json:
    try:
        return admin.ask(control_path(options), b"query", os.fsencode(options.map), os.fsencode(options.key))
    except admin.UsageError:
        raise
    except admin.ControlError as error:
        raise admin.ControlError(f"{error}; --direct asks the directory without it") from None


async def _direct(config: Config, map_name: bytes, key: bytes) -> Json:
    async with daemon.console_of(config) as console:
        return await console.query(map_name, key)


def _end(told: Json, *, silent: bool) -> int:
    status = Status(told["status"].encode())
    if status is Status.FOUND:
        if not silent:
            sys.stdout.buffer.write(told["text"].encode() + b"\n")
        return os.EX_OK
    if status is Status.NOT_FOUND:
        return EX_NOT_FOUND
    lines = [f"{told['text']}: {told['cause']}", *told["servers"]]
    return os.EX_TEMPFAIL if silent else fail(os.EX_TEMPFAIL, *map(escape, lines))
