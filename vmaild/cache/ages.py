"""How long a record is good for: its life, shortened at random so that records stored together expire apart."""

from __future__ import annotations

from collections.abc import Callable

from vmaild.cache.settings import BURST, BURST_JITTER_SHARE, JITTER_SHARE, PREFETCH_SHARE, CacheSettings
from vmaild.cache.weight import POSITIVE, UNKNOWN, UNUSABLE

INSTANTS_PER_SECOND = 8
"""The ages of records are kept to an eighth of a second, so that a million records share a few thousand moments."""

INSTANTS = 4800
"""Moments remembered for that: those of ten minutes."""


class Ages:
    """``jitter`` gives numbers from 0 up to 1."""

    def __init__(self, settings: CacheSettings, jitter: Callable[[], float]) -> None:
        self._ttl = settings.ttl
        self.lives = [_life(settings, kinds) for kinds in range(2 * POSITIVE)]
        """Seconds that a record is good for, by the kinds of its answers: as long as the least certain of them."""
        self._jitter = jitter
        self._second = 0
        self._in_this_second = 0
        self.shared_instants: dict[int, float] = {}

    def new(self, kinds: int, now: float, records: int) -> tuple[float, float]:
        """When a record that is stored now is to be renewed, and when it expires.

        It has answers of such ``kinds`` (``vmaild.cache.weight``), and there are so many ``records``.
        """
        second = int(now)
        if second == self._second:
            self._in_this_second += 1
        else:
            self._second, self._in_this_second = second, 1
        share = JITTER_SHARE
        # More in this second than twice what so many records bring on average: they would all be renewed together.
        if self._in_this_second > BURST and self._in_this_second * self._ttl > 2 * records:
            share = BURST_JITTER_SHARE
        life = self.lives[kinds] * (1 - share * self._jitter())
        # Both a little earlier, and as objects that many records share: two of their own take 64 bytes.
        shared = self.shared_instants
        refresh = int((now + life * (1 - PREFETCH_SHARE)) * INSTANTS_PER_SECOND)
        expiry = int((now + life) * INSTANTS_PER_SECOND)
        if refresh not in shared or expiry not in shared:
            if len(shared) >= INSTANTS - 1:
                shared.clear()
            shared[refresh] = refresh / INSTANTS_PER_SECOND
            shared[expiry] = expiry / INSTANTS_PER_SECOND
        return shared[refresh], shared[expiry]


def _life(settings: CacheSettings, kinds: int) -> float:
    life = settings.ttl
    if kinds & UNKNOWN:
        life = min(life, settings.negative_ttl)
    if kinds & UNUSABLE:
        life = min(life, settings.failure_recheck)
    return life
