"""One line a minute for a complaint: its cause may come back thousands of times a second.

A complaint is known by what it is about (an entry, a map, a listener) and by its kind, never by the key or the request
that led to it: those are chosen by the sender of mail, and each would be new. Those that are not logged are counted,
and the next line says how many there were.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable

INTERVAL = 60.0
"""Seconds in which one complaint is logged once."""

MAX_REMEMBERED = 1000
"""Complaints remembered. Past it the oldest is forgotten, and may be logged again before its time."""


class LogOnce:
    """Logs each complaint to ``logger`` once in ``interval`` seconds of ``clock``.

    At most ``max_remembered`` different complaints are remembered, and no more lines than these are logged in one
    interval: when all of them are younger, new ones are only counted.
    """

    def __init__(
        self,
        logger: logging.Logger,
        clock: Callable[[], float] = time.monotonic,
        interval: float = INTERVAL,
        max_remembered: int = MAX_REMEMBERED,
    ) -> None:
        self._logger = logger
        self._clock = clock
        self._interval = interval
        self._max = max_remembered
        # By age: about -> [time of its last line, how many were not logged since].
        self._known: OrderedDict[Hashable, list[float]] = OrderedDict()
        self._left_out = 0
        self.suppressed = 0
        """Complaints that were not logged, since the start."""

    def log(self, level: int, about: Hashable, text: str) -> bool:
        """Log ``text`` unless ``about``, such as ``("unsafe mailbox", dn)``, was logged a short while ago.

        Returns whether it was logged, for a caller that has more to say.
        """
        now = self._clock()
        known = self._known.get(about)
        if known is not None and now - known[0] < self._interval:
            known[1] += 1
            self.suppressed += 1
            return False
        if known is None and not self._make_room(now):
            self._left_out += 1
            self.suppressed += 1
            return False
        more = int(known[1]) if known is not None else 0
        self._known[about] = [now, 0]
        self._known.move_to_end(about)
        self._logger.log(level, "%s%s", text, self._suppressed(more))
        return True

    def _make_room(self, now: float) -> bool:
        if len(self._known) < self._max:
            return True
        about, (at, _) = next(iter(self._known.items()))
        if now - at < self._interval:
            return False
        del self._known[about]
        return True

    def _suppressed(self, more: int) -> str:
        said = f" ({more} more like it since the last such line)" if more else ""
        if self._left_out:
            said += f" ({self._left_out} other complaints were not logged: there are too many different ones)"
            self._left_out = 0
        return said
