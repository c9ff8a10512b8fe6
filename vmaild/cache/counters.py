"""What the cache counts: plain integers, read when someone asks for the metrics."""

from __future__ import annotations

from dataclasses import dataclass

from vmaild.lookup import Status


@dataclass(slots=True)
class Tally:
    """How often the cache answered so: by map, by status, from an answer that was still good or a stale one."""

    map_name: bytes
    status: Status
    backed: bool
    stale: bool
    hits: int = 0
    late: int = 0
    """Of the hits, those that ``Cache.answer`` gave: whoever asked it counts them too."""


@dataclass(slots=True)
class CacheCounters:
    """What happened beside the answers given, which the tallies count."""

    misses: int = 0
    """Lookups without an answer that could serve."""
    expired: int = 0
    """Lookups whose answer had expired."""
    shared: int = 0
    """Those of both kinds that waited for the search of another."""
    prefetches: int = 0
    """Lookups that found an answer in the last tenth of its life, and had it renewed."""
    slow: int = 0
    """Lookups that got a stale answer since the directory took too long."""
    failures: int = 0
    """Searches that failed."""
    learnt: int = 0
    """Answers stored or renewed."""
    evicted: int = 0
    """Answers with an entry behind them that made room for others."""
    evicted_not_found: int = 0
    """Other answers that made room."""
