"""How far a program is, on standard error: rich's line on a terminal, a plain line now and then in a log."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

QUIET_SECONDS = 5.0
"""A log file or a CI job wants a sign of life, not a film."""


class Progress:
    """Shows texts in a ``with`` statement; ``total`` is the seconds of a load, 0 where nobody knows."""

    def __init__(self, shown: bool = True, total: float = 0.0) -> None:
        console = Console(stderr=True, highlight=False)
        self._terminal = shown and console.is_terminal
        self._shown = shown
        self._console = console
        self._printed = time.monotonic()
        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        self._bar = Bar(*columns, console=console, transient=True, disable=not self._terminal)
        self._task = self._bar.add_task("", total=total or None)

    def __enter__(self) -> Progress:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def say(self, text: str) -> None:
        """The next step has begun."""
        self._bar.update(self._task, description=text)
        if self._shown and not self._terminal:
            self._console.print(f"{time.strftime('%H:%M:%S')} {text}")

    def at(self, seconds: float, text: str) -> None:
        """So many seconds of the load are done."""
        self._bar.update(self._task, description=text, completed=seconds)
        if self._shown and not self._terminal and time.monotonic() >= self._printed + QUIET_SECONDS:
            self._printed = time.monotonic()
            self._console.print(text)
