"""When a server that fails may be tried again, and when one that hangs is given up: pure, handed the time."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

FIRST_PAUSE = 0.2
"""Seconds after the first failure: slapd restarts in less."""

LONGEST_PAUSE = 0.7
"""Seconds: with ``SPREAD`` and the time of a connect a server that is back is noticed within one. A try that is refused
costs less than a search."""

LONGEST_REFUSED = 5.0
"""Seconds: the same for one that refuses the password. Many wrong ones make some servers lock the account."""

FACTOR = 2.0
SPREAD = 0.3
"""Each pause is stretched or shortened by up to this share, so that many daemons do not knock in step."""

MIN_LIFE = 0.2
"""Seconds that a connection must live for its opening to count as a success: a server that accepts, answers
and hangs up must not be connected to in a tight loop."""

STRIKES = 3
"""Timeouts in a row, without any answer between, after which a server is taken out as a whole."""


def _chance() -> float:
    return random.random()


@dataclass(slots=True)
class Backoff:
    """Failures in a row, and the time before which no further try is made."""

    chance: Callable[[], float] = _chance
    failures: int = 0
    next_try: float = float("-inf")

    @property
    def failing(self) -> bool:
        """True from a failure to the next success: then one try at a time."""
        return self.failures > 0

    def failed(self, now: float, longest: float = LONGEST_PAUSE) -> None:
        """Note a failure: the next try is a longer pause away."""
        # The exponent is bounded because failures go on for days, and floats do not.
        pause = min(longest, FIRST_PAUSE * FACTOR ** min(self.failures, 16))
        self.failures += 1
        self.next_try = now + pause * (1 + SPREAD * (2 * self.chance() - 1))

    def succeeded(self) -> None:
        """Note a success: the next failure begins with the first pause again."""
        self.failures = 0
        self.next_try = float("-inf")

    def pause(self, now: float) -> float:
        """Seconds until the next try is allowed, 0 when it is."""
        return max(0.0, self.next_try - now)

    def allowed(self, now: float, *, missing: int, opening: int) -> int:
        """How many of ``missing`` connections may be begun now, with ``opening`` in progress."""
        if now < self.next_try:
            return 0
        if self.failing:
            return 1 if missing > 0 and opening == 0 else 0
        return max(0, missing - opening)


@dataclass(slots=True)
class Strikes:
    """Timeouts in a row. Any answer, even an error, clears them: a server that answers does not hang."""

    count: int = field(default=0)

    def timed_out(self, most: int = STRIKES) -> bool:
        """Note a timeout; True when the server is to be taken out, since they were ``most``."""
        self.count += 1
        return self.count >= most

    def clear(self) -> None:
        """Note an answer."""
        self.count = 0
