"""Put a server under load and say how it answers. README.md has the exit statuses."""

import argparse
import asyncio
import contextlib
import ctypes
import gc
import itertools
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil

from benchmarks.load.fleet import POSTFIX, SWEEP_SECONDS, Fleet
from benchmarks.load.loop import run_in_uvloop
from benchmarks.load.questions import CODECS, Questions, expectations, question, read_keys, read_lines
from benchmarks.load.tally import Tally, parse_limit
from benchmarks.report.output import Say, new_parser, parse, progress, typed, write
from benchmarks.report.rows import LATENCIES, Figures, Rows, Section, milliseconds
from benchmarks.site.use import Meter, waited_seconds
from vmaild.listening import parse_address

EXIT_LIMIT, EXIT_WRONG, EXIT_UNREACHABLE = 1, 3, 4
SAY_SECONDS = 5.0
"""Between lines of progress."""
SECTION = Section("load", "Lookups", "connections", "percentiles", latencies=LATENCIES)


def parser() -> argparse.ArgumentParser:
    parser = new_parser("load")
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
    add("--churn", type=typed(_churn), nargs="?", const=POSTFIX, metavar="IDLE,LIFE", help=text)
    add = parser.add_argument_group("checks").add_argument
    text = "a process of the server, for its CPU time; repeatable"
    add("--pid", type=typed(_process), action="append", default=[], metavar="[NAME=]PID", help=text)
    text = "'p99>5ms', 'rate<10000', 'temp>1%%'; repeatable"
    add("--fail-if", type=typed(parse_limit), action="append", default=[], metavar="LIMIT", help=text)
    return parser


def main(argv: Sequence[str]) -> int:
    options = parser()
    arguments = parse(options, argv)
    try:
        asked = questions(arguments)
    except (OSError, ValueError) as error:
        options.error(str(error))
    try:
        with progress(arguments) as say:
            figures, tally = run_in_uvloop(run(arguments, asked, say))
    except ConnectionError as error:
        print(f"load: {error}", file=sys.stderr)
        return EXIT_UNREACHABLE
    broken = [limit.text for limit in arguments.fail_if if limit.broken(figures)]
    rows = Rows()
    rows.add("load", str(arguments.address), arguments.connections, figures)
    # Percents and milliseconds, closer together towards 100 percent.
    steps = tally.latency.get_percentile_iterator(4)
    curve = [(step.percentile_level_iterated_to, step.value_iterated_to / 1e6) for step in steps]
    write(
        arguments, "load", [SECTION], rows, settings=("rate", "lockstep", "warm_up", "churn", "seed"),
        notes=["\n".join(f"- {note}" for note in _notes(arguments, figures, tally))], figures=figures,
        errors=tally.errors, wrong_answers=tally.examples, broken_limits=broken, percentiles=curve,
    )  # fmt: skip
    for text in broken:
        print(f"load: {text}: this limit is broken", file=sys.stderr)
    # A wrong answer weighs more than a slow one.
    return EXIT_WRONG if tally.wrong else EXIT_UNREACHABLE if not tally.answers else EXIT_LIMIT if broken else 0


def questions(arguments: argparse.Namespace) -> Questions:
    """What the command line wants to be asked. Raises ``ValueError`` or ``OSError``."""
    map_name, keys = arguments.map.encode(), read_keys(arguments.keys, arguments.map.encode())
    if not keys:
        raise ValueError(f"{arguments.keys} has no keys for {arguments.map}")
    expected = expectations(read_lines(arguments.expect) if arguments.expect else ())
    mix = {name: getattr(arguments, name) for name in ("unknown", "cold", "zipf", "hot", "seed")}
    return Questions(keys, lambda key: question(arguments.protocol, map_name, key, expected(map_name, key)), **mix)


async def run(arguments: argparse.Namespace, questions: Questions, say: Say) -> tuple[Figures, Tally]:
    """Connect, warm up and measure; returns the figures of ``--fail-if`` and more. Raises ``ConnectionError``."""
    # A pause of the collector among a million questions would be measured as the server's.
    gc.disable()
    fleet = Fleet(arguments)
    # In an open loop the others are opened on demand.
    first = arguments.connections if arguments.warm_keys or not arguments.rate else 1
    try:
        await fleet.open(first, questions.hot if arguments.warm_keys else ())
        return await _measure(fleet, arguments, questions, say), fleet.tally
    finally:
        await fleet.close()


async def _measure(fleet: Fleet, arguments: argparse.Namespace, questions: Questions, say: Say) -> Figures:
    async def phase(name: str, seconds: float) -> None:
        say(name)
        while (left := seconds - (fleet.clock() - fleet.tally.began) / 1e9) > SAY_SECONDS:
            await fleet.watch(SAY_SECONDS)
            say(f"{name}: {fleet.tally.line(fleet.clock())}")
        await fleet.watch(left)

    def waited() -> Figures:
        return {f"waited {name}": waited_seconds(pid) for name, pid in pids.items()}

    pids = {**dict(arguments.pid), "client": os.getpid()}
    together = arguments.connections if arguments.lockstep and not arguments.rate else 1
    fleet.tally = Tally(fleet.clock())
    asked = iter(questions)
    # The first takes as long as to work out all weights, and would count as latency of the first second.
    asked = itertools.chain([next(asked)], asked)
    began = fleet.clock()
    fleet.start(asked, began, arguments.rate, together)
    with ticking(arguments.rate, began, lambda: fleet.want(fleet.tick(fleet.clock()))):
        await phase("warm-up", arguments.warm_up)
        warm_up_errors = sum(fleet.tally.errors.values())
        meter, before = Meter(pids), waited()
        # Now, since it took some milliseconds to look, for which requests waited.
        fleet.tally = tally = Tally(fleet.clock())
        await phase("load", arguments.seconds)
        cpu, seconds = meter.each(1), (fleet.clock() - tally.began) / 1e9
        shares = {name: (now - before[name]) / seconds for name, now in waited().items()}
        fleet.stop(fleet.clock())
        await fleet.watch(arguments.timeout + SWEEP_SECONDS, fleet.quiet)
    more = {"warm_up_errors": warm_up_errors, "opened": fleet.opened, "reused": questions.reused}
    return {**tally.figures(seconds, cpu), **shares, **more}


@contextlib.contextmanager
def ticking(rate: float, began: int, tick: Callable[[], object]) -> Iterator[None]:
    """Call ``tick`` so many times a second from the running loop, from ``began`` on; never where ``rate`` is 0."""
    # By timerfd_create(2), since a loop's own timers are late by up to a millisecond, which would count as latency.
    libc, loop = ctypes.CDLL(None), asyncio.get_running_loop()
    timer = libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
    # A tick costs 10 us of CPU; at higher rates one asks several questions.
    period = int(1e9 / min(rate, 5000)) if rate else 0
    times = *divmod(period, 10**9), *divmod(began + period if rate else 0, 10**9)
    libc.timerfd_settime(timer, 1, (ctypes.c_long * 4)(*times), None)  # 1: TFD_TIMER_ABSTIME
    loop.add_reader(timer, lambda: os.read(timer, 8) and tick())
    try:
        yield
    finally:
        loop.remove_reader(timer)
        os.close(timer)


def _notes(arguments: argparse.Namespace, figures: Figures, tally: Tally) -> Iterator[str]:
    kinds = ", ".join(f"{status.value.decode()} {number:,}" for status, number in tally.kinds.items() if number)
    pace = f"open loop at {arguments.rate:,.0f}/s" if arguments.rate else "closed loop"
    yield f"{pace}, {figures['seconds']:.1f} s, {figures['opened']:,} connections opened"
    yield f"{tally.answers:,} answers: {kinds or 'none'}; {tally.checked:,} checked, {tally.wrong:,} wrong"
    yield from (f"CPU of {name} for each answer: {milliseconds(figures[f'cpu {name}'])}" for name, _ in arguments.pid)
    yield from (f"errors, {kind}: {count:,}" for kind, count in tally.errors.items())
    if reused := figures["reused"]:
        yield f"warning: {reused:,} cold keys were asked again: too few keys, so these were no misses"
    yield from (f"wrong: {example}" for example in tally.examples)


def _share(text: str) -> float:
    return float(text[:-1]) / 100 if text.endswith("%") else float(text)


def _process(text: str) -> tuple[str, int]:
    name, _, number = text.rpartition("=")
    if not number.isdecimal() or not psutil.pid_exists(int(number)):
        raise ValueError(f"{number!r} is no process here")
    return name or f"server {number}", int(number)


def _churn(text: str) -> tuple[float, float]:
    idle, _, life = text.partition(",")
    return float(idle), float(life)
