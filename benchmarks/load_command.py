"""``python -m benchmarks load``: put a server under load and say how it answers.

Exit status: 0 all is well; 1 a ``--fail-if`` limit was broken; 2 the command line or a file cannot be used;
3 an answer was wrong; 4 nothing was measured, since the server could not be reached; 130 interrupted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import uvloop

from benchmarks.cpu import cpu_seconds
from benchmarks.directory_keys import DirectoryUnreadable, directory_lines
from benchmarks.expectation import Expectations, Line, read_keys, read_lines
from benchmarks.fleet import Churn
from benchmarks.keys import KeyStream, Mix, split, unknown_key
from benchmarks.limits import Limit, parse_limit
from benchmarks.load import CannotConnect, LoadResult, LoadSettings, run_load
from benchmarks.load_report import as_json, as_text
from benchmarks.options import add_directory, directory_source, share
from benchmarks.progress import Progress
from benchmarks.protocols import CODECS, Question
from vmaild.listening import parse_address

EXIT_LIMIT, EXIT_USAGE, EXIT_WRONG, EXIT_UNREACHABLE = 1, 2, 3, 4

Commands = Any  # argparse's own type of what add_subparsers returns is private


def add_to(commands: Commands) -> None:
    """Add the command and its options to the parser."""
    parser = commands.add_parser(
        "load",
        help="put a server under load",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    parser.add_argument("address", type=parse_address, help="inet:HOST:PORT or unix:PATH")
    parser.add_argument("--protocol", choices=CODECS, default="socketmap")
    parser.add_argument("--map", default="virtual_mailbox_maps", metavar="NAME", help="(default: %(default)s)")
    _add_keys(parser)
    _add_pace(parser)
    _add_result(parser)


def _add_keys(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("keys")
    group.add_argument("--keys", type=Path, metavar="FILE", help="one key on each line, or an expectation file")
    group.add_argument("--expect", type=Path, metavar="FILE", help="check every answer against this file")
    group.add_argument("--zipf", type=float, default=0.0, metavar="S", help="Zipf's law with this exponent; 0: uniform")
    group.add_argument("--unknown", type=share, default=0.0, metavar="SHARE", help="made-up keys, 0.1 or 10%%")
    group.add_argument("--cold", type=share, default=0.0, metavar="SHARE", help="keys that were not asked for before")
    group.add_argument(
        "--hot", type=int, default=0, metavar="N", help="the first N keys are not cold (default: half of them)"
    )
    group.add_argument("--seed", type=int, default=1, help="the same seed asks the same keys (default: 1)")
    add_directory(parser)


def _add_pace(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("pace")
    group.add_argument("--connections", type=int, default=10, metavar="N", help="(default: %(default)s)")
    group.add_argument(
        "--rate", type=float, default=0.0, metavar="N", help="open loop: N questions a second (default: closed loop)"
    )
    group.add_argument("--duration", type=float, default=10.0, metavar="SECONDS", help="(default: %(default)s)")
    group.add_argument(
        "--warm-up", type=float, default=2.0, metavar="SECONDS", help="not measured (default: %(default)s)"
    )
    group.add_argument("--warm-keys", action="store_true", help="ask each hot key once before the warm-up")
    group.add_argument("--timeout", type=float, default=10.0, metavar="SECONDS", help="(default: %(default)s)")
    group.add_argument(
        "--churn",
        type=_churn,
        nargs="?",
        const=Churn(),
        metavar="IDLE,LIFE",
        help="close connections as Postfix does, after 10 s idle or 100 s of life, or as given",
    )


def _add_result(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("result")
    group.add_argument(
        "--pid",
        type=_process,
        action="append",
        default=[],
        metavar="[NAME=]PID",
        help="a process of the server, for its CPU time; repeatable",
    )
    group.add_argument("--json", action="store_true", help="the result as JSON on standard output")
    group.add_argument("--no-progress", action="store_true", help="no progress line on standard error")
    group.add_argument(
        "--fail-if",
        type=_limit,
        action="append",
        default=[],
        metavar="LIMIT",
        help="'p99>5ms', 'rate<10000', 'temp>1%%'",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the load and print its result; returns the exit status."""
    try:
        settings, stream = prepare(arguments)
    except (OSError, ValueError, DirectoryUnreadable) as error:
        print(f"load: {error}", file=sys.stderr)
        return EXIT_USAGE
    progress = Progress(settings.duration)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            shown = (lambda *_: None) if arguments.no_progress else progress
            result = runner.run(run_load(settings, stream, shown))
    except CannotConnect as error:
        print(f"load: {error}", file=sys.stderr)
        return EXIT_UNREACHABLE
    finally:
        if not arguments.no_progress:
            progress.end()
    broken = [limit for limit in arguments.fail_if if limit.broken(result.figures())]
    print(json.dumps(as_json(settings, result, broken), indent=2) if arguments.json else as_text(settings, result))
    for limit in broken:
        print(f"load: {limit.text}: this limit is broken", file=sys.stderr)
    return exit_status(result, broken)


def exit_status(result: LoadResult, broken: list[Limit]) -> int:
    """The exit status that a result deserves. A wrong answer weighs more than a slow one."""
    if result.tally.wrong:
        return EXIT_WRONG
    if not result.tally.answers:
        return EXIT_UNREACHABLE
    return EXIT_LIMIT if broken else 0


def prepare(arguments: argparse.Namespace) -> tuple[LoadSettings, KeyStream[Question]]:
    """Settings and questions, as the command line wants them.

    Raises ``ValueError``, ``OSError`` or ``DirectoryUnreadable``.
    """
    codec = CODECS[arguments.protocol]
    map_name = arguments.map.encode()
    mix = Mix(arguments.unknown, arguments.cold, arguments.zipf)
    keys, lines = _keys(arguments, map_name)
    expectations = Expectations(read_lines(arguments.expect) if arguments.expect else lines)
    questions = [codec.question(map_name, key, expectations.of(map_name, key)) for key in keys]
    hot, cold = split(questions, mix, arguments.hot)

    def unknown(number: int) -> Question:
        key = unknown_key(keys, number, arguments.seed)
        return codec.question(map_name, key, expectations.of(map_name, key))

    stream = KeyStream(hot, cold, unknown, mix, arguments.seed)
    settings = LoadSettings(
        arguments.address,
        codec,
        arguments.connections,
        arguments.rate,
        arguments.duration,
        arguments.warm_up,
        hot if arguments.warm_keys else (),
        arguments.timeout,
        arguments.churn,
        arguments.seed,
        dict(arguments.pid),
    )
    return settings, stream


def _keys(arguments: argparse.Namespace, map_name: bytes) -> tuple[list[bytes], list[Line]]:
    if (arguments.keys is None) == (arguments.directory is None):
        raise ValueError("give either --keys FILE or --directory URI")
    if arguments.keys is not None:
        keys, lines = read_keys(arguments.keys, map_name), []
    else:
        lines = list(directory_lines(directory_source(arguments), map_name))
        keys = [line.key for line in lines]
        # Without an attribute to compare, the directory's keys only say what is found, and --expect says more.
        lines = lines if arguments.value_attribute else []
    if not keys:
        raise ValueError(f"there are no keys for {arguments.map}")
    return keys, lines


def _limit(text: str) -> Limit:
    try:
        return parse_limit(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _process(text: str) -> tuple[str, int]:
    name, _, number = text.rpartition("=")
    try:
        pid = int(number)
        cpu_seconds(pid)
    except (ValueError, ProcessLookupError):
        raise argparse.ArgumentTypeError(f"{number!r} is no process here") from None
    return name or f"server {pid}", pid


def _churn(text: str) -> Churn:
    try:
        idle, life = (float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not IDLE,LIFE in seconds, as in 10,100") from None
    return Churn(idle, life)
