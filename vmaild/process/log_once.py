"""A complaint that comes again and again is logged once in a while."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import cachetools

INTERVAL = 60.0
"""Seconds in which one complaint is logged once: a broken entry may be asked for many times a second."""

REMEMBERED = 1000
"""Different complaints remembered for that; past it the oldest are forgotten, and may be logged again."""


class LogOnce:
    """Logs to ``logger``, once in ``interval`` seconds of ``clock`` for each thing that is complained about."""

    def __init__(
        self, logger: logging.Logger, clock: Callable[[], float] = time.monotonic, interval: float = INTERVAL
    ) -> None:
        self._logger = logger
        self._logged: cachetools.TTLCache[str, None] = cachetools.TTLCache(REMEMBERED, interval, clock)

    def log(self, level: int, about: str, text: str) -> None:
        """Log ``text`` unless something about the same was logged a short while ago."""
        if about not in self._logged:
            self._logged[about] = None
            self._logger.log(level, "%s", text)
