"""``vmaild top``: the page of ``vmaild status`` again and again, with the replies of each second. ``q`` ends it.

Plain ANSI on the alternate screen, as a pager uses it: what stood on the terminal is there again afterwards. Lines are
cut at the terminal's width, and the page at its height. A daemon that is not there is waited for.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import select
import shutil
import sys
import termios
import time
import tty
from collections.abc import Iterator
from typing import Any

from vmaild import admin
from vmaild.commands.output import Style, escape, style_for
from vmaild.commands.session import control_path, fail
from vmaild.commands.status import fetch, page

Json = dict[str, Any]

LEAST_DELAY = 0.2
"""Seconds: each page is a question to the daemon."""

_BEGIN, _END = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
_HOME, _REST_OF_LINE, _REST = "\x1b[H", "\x1b[K", "\x1b[J"


def run(options: argparse.Namespace) -> int:
    """Show pages until ``q`` or Ctrl-C."""
    path = control_path(options)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return fail(os.EX_USAGE, "top is for a terminal; 'vmaild status' prints the same once")
    style, delay = style_for(), max(LEAST_DELAY, options.delay)
    before: tuple[float, int] | None = None
    with contextlib.suppress(KeyboardInterrupt), _screen():
        while True:
            told, now = _ask(path), time.monotonic()
            replies = sum(one["replies"] for one in told["maps"].values()) if "maps" in told else 0
            _show(_lines(told, rate(before, (now, replies)), style))
            before = (now, replies) if "maps" in told else None
            if _quit_within(delay):
                break
    return os.EX_OK


def rate(before: tuple[float, int] | None, after: tuple[float, int]) -> float | None:
    """Replies a second between two (time, replies); None at first, and when the daemon was restarted."""
    if before is None or after[1] < before[1] or after[0] <= before[0]:
        return None
    return (after[1] - before[1]) / (after[0] - before[0])


def _ask(path: str) -> Json:
    try:
        return fetch(path)
    except admin.ControlError as error:
        return {"error": str(error)}


def _lines(told: Json, per_second: float | None, style: Style) -> list[str]:
    if "error" in told:
        return [style.bad(escape(told["error"])), "", "waiting for it; q ends this"]
    speed = "-" if per_second is None else f"{per_second:.1f}"
    return [f"{style.title('Replies')}  {speed} a second; q ends this", *page(told, style)]


def _show(lines: list[str]) -> None:
    width, height = shutil.get_terminal_size()
    text = "\r\n".join(cut(line, width) + _REST_OF_LINE for line in lines[:height])
    sys.stdout.write(f"{_HOME}{text}{_REST}")
    sys.stdout.flush()


def cut(line: str, width: int) -> str:
    """The first ``width`` letters of a line; what paints it takes no room."""
    kept, left, at = [], width, 0
    while at < len(line):
        if line[at] == "\x1b":
            end = line.index("m", at) + 1
            kept.append(line[at:end])
            at = end
            continue
        if left:
            kept.append(line[at])
            left -= 1
        at += 1
    return "".join(kept)


@contextlib.contextmanager
def _screen() -> Iterator[None]:
    """A screen of its own, and single keys from the keyboard; everything as before at the end."""
    keyboard = sys.stdin.fileno()
    before = termios.tcgetattr(keyboard)
    try:
        tty.setcbreak(keyboard)
        sys.stdout.write(_BEGIN)
        yield
    finally:
        sys.stdout.write(_END)
        sys.stdout.flush()
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)


def _quit_within(seconds: float) -> bool:
    ready, _, _ = select.select([sys.stdin], [], [], seconds)
    return bool(ready) and os.read(sys.stdin.fileno(), 16).lower()[:1] in (b"q", b"\x04", b"")
