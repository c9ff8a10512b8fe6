"""The commands: serve, check, query, flush, stats, demo.

Exit status, after sysexits.h where it has one:

====  ==================================================================
0     done; ``query``: found
1     ``query``: not found
64    wrong usage, an unknown map
69    the daemon or a needed service is not there
71    an address cannot be listened on
75    ``query``: temporary failure, ask again later
78    the configuration cannot be used; every problem is on stderr
====  ==================================================================
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from vmaild import __version__, admin, daemon
from vmaild.config import DEFAULT_PATH, Config, load
from vmaild.config.section import did_you_mean
from vmaild.errors import ConfigError
from vmaild.feed.diagnosis import describe
from vmaild.lookup import Request, Status

EX_NOT_FOUND = 1

DEMO_PORT = 10143
"""Where the demo listens: the daemon's own default."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    options = _parser().parse_args(arguments)
    try:
        status: int = options.run(options)
    except ConfigError as error:
        return _fail(os.EX_CONFIG, *error.problems)
    except admin.ControlError as error:
        return _fail(os.EX_UNAVAILABLE, str(error))
    except BrokenPipeError:
        # Whoever read the output has gone; there is nothing left to say, and nowhere to say it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return os.EX_OK
    return status


def _serve(options: argparse.Namespace) -> int:
    config = _load(options)
    daemon.log_to(sys.stderr, config.daemon.log_level)
    try:
        daemon.run(config)
    except OSError as error:
        return _fail(os.EX_OSERR, f"{error.filename}: {error.strerror}" if error.filename else str(error))
    return os.EX_OK


def _check(options: argparse.Namespace) -> int:
    config = _load(options)
    print(f"{config.path}: {len(config.maps.tables)} maps, {len(config.listen)} listeners, no problem found")
    if not options.offline:
        for line in asyncio.run(_changes(config)):
            print(line)
    return os.EX_OK


async def _changes(config: Config) -> list[str]:
    """How the changes of each server can be heard."""
    told = await asyncio.gather(*(describe(uri, config.directory) for uri in config.directory.uri))
    return [line for lines in told for line in lines]


def _query(options: argparse.Namespace) -> int:
    config = _load(options)
    daemon.log_to(sys.stderr, config.daemon.log_level if options.verbose else "error")
    names = [name.lower() for name in config.maps.tables]
    if options.map.lower() not in names:
        return _fail(os.EX_USAGE, f"no map named {options.map!r}{did_you_mean(options.map.lower(), names)}")
    request = Request(os.fsencode(options.map), os.fsencode(options.key))

    async def ask() -> int:
        async with daemon.opened(config) as maps:
            reply = await maps.find(request)
        if reply.status is Status.FOUND:
            sys.stdout.buffer.write(reply.text + b"\n")
            return os.EX_OK
        if reply.status is Status.NOT_FOUND:
            return EX_NOT_FOUND
        return _fail(os.EX_TEMPFAIL, reply.text.decode())

    return asyncio.run(ask())


def _flush(options: argparse.Namespace) -> int:
    path = _control_path(_load(options))
    map_name = os.fsencode(options.map) if options.map else None
    key = os.fsencode(options.key) if options.key is not None else None
    print(f"{admin.flush(path, map_name, key)} answers forgotten")
    return os.EX_OK


def _stats(options: argparse.Namespace) -> int:
    print(json.dumps(admin.stats(_control_path(_load(options))), indent=2))
    return os.EX_OK


def _demo(options: argparse.Namespace) -> int:
    # Not at the top: the daemon starts without it in a twentieth less time.
    from vmaild import demo

    return demo.run(options.once, options.port)


def _load(options: argparse.Namespace) -> Config:
    config = load(options.config)
    for warning in config.warnings:
        print(f"vmaild: warning: {warning}", file=sys.stderr)
    return config


def _control_path(config: Config) -> str:
    if not config.control:
        raise ConfigError([f"{config.path}: [control] address: is empty, so a running daemon cannot be asked"])
    return config.control.removeprefix("unix:")


def _fail(status: int, *lines: str) -> int:
    for line in lines:
        print(f"vmaild: {line}", file=sys.stderr)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="vmaild", description="Answers Postfix's lookups from OpenLDAP, cached.")
    parser.add_argument("--version", action="version", version=f"vmaild {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    configured = argparse.ArgumentParser(add_help=False)
    configured.add_argument(
        "-c", "--config", type=Path, default=DEFAULT_PATH, metavar="FILE", help=f"configuration ({DEFAULT_PATH})"
    )

    serve = commands.add_parser("serve", parents=[configured], help="run the daemon in the foreground")
    serve.set_defaults(run=_serve)
    check = commands.add_parser("check", parents=[configured], help="check the configuration")
    check.add_argument("--offline", action="store_true", help="do not ask the servers how their changes can be heard")
    check.set_defaults(run=_check)
    query = commands.add_parser("query", parents=[configured], help="ask the directory for one key, past the daemon")
    query.add_argument("-v", "--verbose", action="store_true", help="log to stderr as the daemon would")
    query.add_argument("map", metavar="MAP")
    query.add_argument("key", metavar="KEY")
    query.set_defaults(run=_query)
    flush = commands.add_parser("flush", parents=[configured], help="make the running daemon forget cached answers")
    flush.add_argument("map", metavar="MAP", nargs="?")
    flush.add_argument("key", metavar="KEY", nargs="?")
    flush.set_defaults(run=_flush)
    stats = commands.add_parser("stats", parents=[configured], help="print the running daemon's counters as JSON")
    stats.set_defaults(run=_stats)
    showing = commands.add_parser("demo", help="run a private slapd and vmaild in front of it")
    showing.add_argument("--once", action="store_true", help="end after the table of lookups")
    showing.add_argument("--port", type=int, default=DEMO_PORT, help=f"port to listen on ({DEMO_PORT})")
    showing.set_defaults(run=_demo)
    return parser
