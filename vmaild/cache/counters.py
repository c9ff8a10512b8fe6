"""What the cache counts: plain integers, read when someone asks for the metrics."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from vmaild.lookup import Status

KINDS = ("negative", "new", "main", "derived")
"""The queues of records, by number (``vmaild.cache.room``)."""

REASONS = ("entries", "size")
"""Which bound a record made room for."""


def new_evictions() -> Counter[tuple[str, str]]:
    """No evictions of any kind so far."""
    return Counter({(kind, reason): 0 for kind in KINDS for reason in REASONS})


@dataclass(slots=True)
class Tally:
    """How often the cache answered so: by map, by status, from a record that was still good or a stale one."""

    map_name: str
    status: Status
    stale: bool
    hits: int = 0


@dataclass(slots=True)
class CacheCounters:
    """What happened beside the answers given, which the tallies count."""

    misses: int = 0
    """Lookups without a record that could serve."""
    expired: int = 0
    """Lookups whose record had expired."""
    shared: int = 0
    """Those of both kinds that waited for the search of another."""
    prefetches: int = 0
    """Lookups that found a record in the last tenth of its life, and had it renewed."""
    slow: int = 0
    """Lookups that got a stale answer since the directory took too long."""
    failures: int = 0
    """Searches that failed."""
    stored: int = 0
    """Records stored or renewed."""
    outdated: int = 0
    """Records not stored, since a search that began later had found something, or a flush had come between."""
    evictions: Counter[tuple[str, str]] = field(default_factory=new_evictions)
    """Records that made room for others, by ``KINDS`` and ``REASONS``."""
    admitted: int = 0
    """Records that were asked for again before they had to make room: they are kept before those that were not."""
    returned: int = 0
    """Records that came back a short while after they had made room: they are kept likewise."""
    too_large: int = 0
    """Records not stored, since they were too large or no room could be made in time."""

    @property
    def evicted(self) -> int:
        """All that made room."""
        return self.evictions.total()
