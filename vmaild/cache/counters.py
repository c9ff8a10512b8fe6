"""What the cache counts: plain integers, read when someone asks for the metrics."""

from __future__ import annotations

from dataclasses import dataclass

from vmaild.lookup import Status


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
    evicted: int = 0
    """Records with an entry behind them that made room for others."""
    evicted_negative: int = 0
    """Other records that made room."""
