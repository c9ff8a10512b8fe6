"""How long a record is good for: its life, shortened at random so that records stored together expire apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vmaild.cache.record import Known
from vmaild.cache.settings import BURST, BURST_JITTER_SHARE, JITTER_SHARE, PREFETCH_SHARE, CacheSettings
from vmaild.errors import DataError
from vmaild.lookup import NOT_FOUND

INSTANTS_PER_SECOND = 8
"""The ages of records are kept to an eighth of a second, so that a million records share a few thousand moments."""

INSTANTS = 4800
"""Moments remembered for that: those of ten minutes."""


class Ages:
    """``jitter`` gives numbers from 0 up to 1."""

    def __init__(self, settings: CacheSettings, jitter: Callable[[], float]) -> None:
        self._settings = settings
        self._jitter = jitter
        self._second = 0
        self._in_this_second = 0
        self.shared_instants: dict[int, float] = {}

    def new(self, known: Sequence[Known], now: float, records: int) -> tuple[float, float]:
        """When a record that is stored now is to be renewed, and when it expires; there are so many ``records``."""
        second = int(now)
        if second != self._second:
            self._second, self._in_this_second = second, 0
        self._in_this_second = stored = self._in_this_second + 1
        share = JITTER_SHARE
        # More in this second than twice what so many records bring on average: they would all be renewed together.
        if stored > BURST and stored * self._settings.ttl > 2 * records:
            share = BURST_JITTER_SHARE
        life = self.life(known) * (1 - share * self._jitter())
        return self._instants(now + life * (1 - PREFETCH_SHARE), now + life)

    def life(self, known: Sequence[Known]) -> float:
        """Seconds that a record is good for: as long as the least certain of its answers."""
        settings = self._settings
        life = settings.ttl
        for one in known:
            if one is NOT_FOUND:
                life = min(life, settings.negative_ttl)
            elif isinstance(one, DataError):
                life = min(life, settings.failure_recheck)
        return life

    def _instants(self, refresh_at: float, expires_at: float) -> tuple[float, float]:
        """Both a little earlier, and as objects that many records share: two of their own take 64 bytes."""
        shared = self.shared_instants
        if len(shared) >= INSTANTS - 1:
            shared.clear()
        refresh = int(refresh_at * INSTANTS_PER_SECOND)
        expiry = int(expires_at * INSTANTS_PER_SECOND)
        if refresh not in shared:
            shared[refresh] = refresh / INSTANTS_PER_SECOND
        if expiry not in shared:
            shared[expiry] = expiry / INSTANTS_PER_SECOND
        return shared[refresh], shared[expiry]
