"""Put a server under load and say how it answers: any socketmap or tcp_table server, vmaild or another one.

Exit status: 0; 1 a ``--fail-if`` limit was broken; 2 the command line or a file cannot be used;
3 an answer was wrong; 4 nothing was measured, since the server could not be reached; 130 interrupted.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
import uvloop

from benchmarks.load.fleet import Churn
from benchmarks.load.keys import KeyStream, Mix, split, unknown_key
from benchmarks.load.questions import CODECS, Expectations, Question, read_keys, read_lines
from benchmarks.load.run import CannotConnect, Load, LoadResult, LoadSettings
from benchmarks.load.tally import Limit, Tally, parse_limit
from benchmarks.report.output import Progress, add_output, check_output, machine, new_parser, typed, write
from benchmarks.report.rows import LATENCIES, Result, Rows, Section, milliseconds
from vmaild.listening import parse_address
from vmaild.lookup import Status

EXIT_LIMIT, EXIT_USAGE, EXIT_WRONG, EXIT_UNREACHABLE = 1, 2, 3, 4

SECTIONS = [Section("load", "Lookups", "connections", "percentiles", latencies=LATENCIES)]


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = new_parser("load", __doc__)
    parser.add_argument("address", type=typed(parse_address), help="inet:HOST:PORT or unix:PATH")
    parser.add_argument("--protocol", choices=CODECS, default="socketmap", help="(default: %(default)s)")
    parser.add_argument("--map", default="virtual_mailbox_maps", metavar="NAME", help="(default: %(default)s)")
    add = parser.add_argument_group("keys").add_argument
    add("--keys", type=Path, required=True, metavar="FILE", help="one key on each line, or an expectation file")
    add("--expect", type=Path, metavar="FILE", help="check every answer against this file")
    add("--zipf", type=float, default=0.0, metavar="S", help="Zipf's law with this exponent; 0: uniform")
    add("--unknown", type=typed(_share), default=0.0, metavar="SHARE", help="made-up keys, 0.1 or 10%%")
    add("--cold", type=typed(_share), default=0.0, metavar="SHARE", help="keys that were not asked for before")
    add("--hot", type=int, default=0, metavar="N", help="the first N keys are not cold (default: half of them)")
    add("--seed", type=int, default=1, help="the same seed asks the same keys (default: 1)")
    add = parser.add_argument_group("pace").add_argument
    add("--connections", type=int, default=10, metavar="N", help="(default: %(default)s)")
    add("--rate", type=float, default=0.0, metavar="N", help="open loop: N questions a second (default: closed loop)")
    add("--lockstep", action="store_true", help="closed loop in which all connections ask at the same time")
    add("--seconds", type=float, default=10.0, metavar="N", help="of the measurement (default: %(default)s)")
    add("--warm-up", type=float, default=2.0, metavar="SECONDS", help="not measured (default: %(default)s)")
    add("--warm-keys", action="store_true", help="ask each hot key once before the warm-up")
    add("--timeout", type=float, default=10.0, metavar="SECONDS", help="(default: %(default)s)")
    text = "close connections as Postfix does, after 10 s idle or 100 s of life, or as given"
    add("--churn", type=typed(_churn), nargs="?", const=Churn(), metavar="IDLE,LIFE", help=text)
    add = parser.add_argument_group("checks").add_argument
    text = "a process of the server, for its CPU time; repeatable"
    add("--pid", type=typed(_process), action="append", default=[], metavar="[NAME=]PID", help=text)
    text = "'p99>5ms', 'rate<10000', 'temp>1%%'; repeatable"
    add("--fail-if", type=typed(parse_limit), action="append", default=[], metavar="LIMIT", help=text)
    add_output(parser)
    return parser


def main(argv: Sequence[str]) -> int:
    """Run the load and print its result; returns the exit status."""
    options = parser()
    arguments = options.parse_args(argv)
    check_output(options, arguments)
    try:
        settings, stream = prepare(arguments)
    except (OSError, ValueError) as error:
        print(f"load: {error}", file=sys.stderr)
        return EXIT_USAGE
    progress = Progress(not arguments.no_progress, settings.seconds)
    load = Load(settings, stream, lambda *phase: progress.at(phase[0], progress_line(*phase)))
    try:
        with progress, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            result = runner.run(load.run())
    except CannotConnect as error:
        print(f"load: {error}", file=sys.stderr)
        return EXIT_UNREACHABLE
    broken = [limit for limit in arguments.fail_if if limit.broken(result.figures())]
    write(arguments, "load", as_json(settings, result, broken))
    for limit in broken:
        print(f"load: {limit.text}: this limit is broken", file=sys.stderr)
    # A wrong answer weighs more than a slow one.
    unreached = 0 if result.tally.answers else EXIT_UNREACHABLE
    return EXIT_WRONG if result.tally.wrong else unreached or (EXIT_LIMIT if broken else 0)


def progress_line(seconds: float, tally: Tally, warming: bool) -> str:
    """Answers a second and p99 so far, errors and wrong answers."""
    rate = tally.answers / seconds if seconds else 0.0
    line = f"{'warm-up' if warming else 'load'}: {rate:,.0f}/s, p99 {milliseconds(tally.latency.percentile(99))}"
    line += f", {sum(tally.errors.values())} errors" if tally.errors else ""
    return line + (f", {tally.wrong} WRONG" if tally.wrong else "")


def prepare(arguments: argparse.Namespace) -> tuple[LoadSettings, KeyStream[Question]]:
    """Settings and questions, as the command line wants them. Raises ``ValueError`` or ``OSError``."""
    codec, map_name = CODECS[arguments.protocol], arguments.map.encode()
    mix = Mix(arguments.unknown, arguments.cold, arguments.zipf)
    keys = read_keys(arguments.keys, map_name)
    if not keys:
        raise ValueError(f"{arguments.keys} has no keys for {arguments.map}")
    expectations = Expectations(read_lines(arguments.expect) if arguments.expect else ())

    def question(key: bytes) -> Question:
        return codec.question(map_name, key, expectations.of(map_name, key))

    hot, cold = split([question(key) for key in keys], mix, arguments.hot)
    stream = KeyStream(hot, cold, lambda n: question(unknown_key(keys, n, arguments.seed)), mix, arguments.seed)
    same = ("address", "connections", "rate", "lockstep", "seconds", "warm_up", "timeout", "churn", "seed")
    options = {name: getattr(arguments, name) for name in same}
    warm_keys = hot if arguments.warm_keys else ()
    return LoadSettings(codec=codec, warm_keys=warm_keys, pids=dict(arguments.pid), **options), stream


def as_json(settings: LoadSettings, result: LoadResult, broken: Sequence[Limit]) -> Result:
    """Everything that was measured. Latencies and CPU are in milliseconds, rates a second."""
    figures, tally, rows = result.figures(), result.tally, Rows()
    rows.add("load", str(settings.address), settings.connections, figures)
    told = ("rate", "lockstep", "warm_up", "churn", "seed")
    return {
        "experiment": "load",
        "machine": machine(),
        "settings": {name: getattr(settings, name) for name in told},
        "seconds": result.seconds,
        "figures": {
            **figures,
            **{f"waited {name}": wait / result.seconds for name, wait in result.waited.items()},
            "reused": result.reused,
        },
        "waited_for_a_core": {name: wait / result.seconds for name, wait in result.waited.items()},
        "errors": dict(tally.errors),
        "warm_up_errors": result.warm_up_errors,
        "connections_opened": result.opened,
        "cold_keys_asked_again": result.reused,
        "wrong_answers": tally.examples,
        "broken_limits": [limit.text for limit in broken],
        "sections": [section._asdict() for section in SECTIONS],
        "rows": [{**row, "percentiles": tally.latency.curve()} for row in rows.as_json()],
        "ratios": [],
        "notes": ["\n".join(f"- {note}" for note in _notes(settings, result))],
    }


def _notes(settings: LoadSettings, result: LoadResult) -> Iterator[str]:
    tally, figures = result.tally, result.figures()
    kinds = ", ".join(f"{status.value.decode()} {tally.kinds[status]:,}" for status in Status if tally.kinds[status])
    pace = f"open loop at {settings.rate:,.0f}/s" if settings.rate else "closed loop"
    yield f"{pace}, {result.seconds:.1f} s, {result.opened:,} connections opened"
    yield f"{tally.answers:,} answers: {kinds or 'none'}; {tally.checked:,} checked, {tally.wrong:,} wrong"
    yield from (f"CPU of {name} for each answer: {milliseconds(figures[f'cpu {name}'])}" for name in settings.pids)
    yield from (f"errors, {kind}: {count:,}" for kind, count in tally.errors.items())
    if result.reused:
        yield f"warning: {result.reused:,} cold keys were asked again: too few keys, so these were no misses"
    yield from (f"wrong: {example}" for example in tally.examples)


def _share(text: str) -> float:
    number = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    if not 0 <= number <= 1:
        raise ValueError(f"{text!r} is not from 0 to 1, or 0% to 100%")
    return number


def _process(text: str) -> tuple[str, int]:
    name, _, number = text.rpartition("=")
    if not number.isdecimal() or not int(number) or not psutil.pid_exists(int(number)):
        raise ValueError(f"{number!r} is no process here")
    return name or f"server {number}", int(number)


def _churn(text: str) -> Churn:
    try:
        idle, life = (float(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"{text!r} is not IDLE,LIFE in seconds, as in 10,100") from None
    return Churn(idle, life)
