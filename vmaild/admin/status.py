"""What ``vmaild status``, ``vmaild top`` and the page ``/`` show: the daemon's state on one page, as JSON can carry it.

==========  ==================================================================================================
version     vmaild's
pid         the process
uptime      seconds since the daemon was made
ready       whether lookups can be answered, and ``ready_text`` why
servers     in order: uri, up, current, behind, slow, probe_seconds (what a probe takes, null when not known),
            connections, in_use, state_for (seconds), last_error (words; "" for none) and failed_ago (seconds, null for
            never)
feed        how changes of the directory are followed: ``mode`` ("none": records age by their TTL), and more
maps        by name: replies, hits, hit_rate (null without replies), p50 and p99 (seconds, null without), found,
            not_found, temporary, permanent
cache       records, positive, negative, max_positive, max_negative, bytes, max_bytes, withheld (bytes left unused,
            see vmaild-operations(7), SIZING), resident (bytes of the process; null: unknown), stale (hits)
clients     connections, max
refused     what is refused and why: text, count, now (whether it is so at this moment)
log_level   of the daemon's log
==========  ==================================================================================================

p50 and p99 are upper ends of ``vmaild.maps.LATENCY_BOUNDS``; cached answers are timed by sample, for all maps together.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import vmaild
from vmaild.admin.http import readiness
from vmaild.lookup import Status
from vmaild.maps import mixed, quantile
from vmaild.process import resident_memory

if TYPE_CHECKING:
    from collections import Counter

    from vmaild.admin.metrics import Metrics
    from vmaild.cache import Cache
    from vmaild.directory import Directories
    from vmaild.maps import Maps
    from vmaild.server import Server

Json = dict[str, Any]

_OF_A_SERVER = (
    *("uri", "up", "current", "behind", "slow", "probe_seconds", "connections", "in_use", "state_for"),
    *("last_error", "failed_ago"),
)


def no_feed() -> Mapping[str, Any]:
    """The state of a daemon that follows no changes."""
    return {"mode": "none"}


@dataclass
class StatusReport:
    """Reads the state of the daemon's parts. Nothing here blocks. ``clock`` counts seconds and never goes back."""

    cache: Cache
    server: Server
    directory: Directories
    maps: Maps
    metrics: Metrics
    log_dropped: Callable[[], int] = lambda: 0
    feed: Callable[[], Mapping[str, Any]] = no_feed
    clock: Callable[[], float] = time.monotonic
    started: float = field(init=False)

    def __post_init__(self) -> None:
        self.started = self.clock()

    def use(self, maps: Maps, directory: Directories) -> None:
        """Tell of these from now on."""
        self.maps, self.directory = maps, directory

    def status(self) -> Json:
        """The state of this moment."""
        ready = readiness(directory_ready=self.directory.ready, cached_records=len(self.cache))
        return {
            "version": vmaild.__version__,
            "pid": os.getpid(),
            "uptime": self.clock() - self.started,
            "ready": ready.ready,
            "ready_text": ready.text,
            "servers": self._servers(),
            "feed": dict(self.feed()),
            "maps": self._maps(),
            "cache": self._cache(),
            "clients": {"connections": self.server.connections, "max": self.server.max_connections},
            "refused": list(self._refused()),
            "log_level": logging.getLevelName(logging.getLogger("vmaild").getEffectiveLevel()).lower(),
        }

    def _servers(self) -> list[Json]:
        return [{name: getattr(server, name) for name in _OF_A_SERVER} for server in self.directory.status().servers]

    def _maps(self) -> dict[str, Json]:
        lookups = self.metrics.lookups()
        hits: dict[str, int] = dict.fromkeys(self.maps.counters, 0)
        for tally in self.cache.tallies:
            hits[tally.map_name] = hits.get(tally.map_name, 0) + tally.hits
        return {name: self._map(name, lookups, hits[name]) for name in self.maps.counters}

    def _map(self, name: str, lookups: Counter[tuple[str, str]], hits: int) -> Json:
        by_status = {status.name.lower(): lookups[name, status.name.lower()] for status in Status}
        replies = sum(by_status.values())
        latency = mixed(hits, self.server.cached_latency.counts, self.maps.counters[name].latency.counts)
        return {
            "replies": replies,
            "hits": hits,
            "hit_rate": hits / replies if replies else None,
            "p50": _finite(quantile(latency, 0.5)),
            "p99": _finite(quantile(latency, 0.99)),
            **by_status,
        }

    def _cache(self) -> Json:
        settings = self.cache.settings
        return {
            "records": len(self.cache),
            "positive": self.cache.counts[True],
            "negative": self.cache.counts[False],
            "max_positive": settings.max_entries,
            "max_negative": settings.max_negative_entries,
            "bytes": sum(self.cache.sizes.values()) + self.server.recent_size,
            "max_bytes": settings.max_size,
            "withheld": self.cache.withheld,
            "resident": _resident(),
            "stale": sum(tally.hits for tally in self.cache.tallies if tally.stale),
        }

    def _refused(self) -> Iterator[Json]:
        """What is refused and why: lookups first, then clients."""
        for name, keys in self.maps.canaries.missing.items():
            count = self.maps.counters[name].canary_refusals
            yield _refusal(
                f"map {name}: canary {', '.join(keys)} is missing, so NOTFOUND is answered TEMP", count, True
            )
        if not self.directory.ready:
            failed = self.directory.counters.failed_fast
            yield _refusal("no directory server is up: what is not cached is answered TEMP", failed, True)
        for name, counters in self.maps.counters.items():
            if counters.data_errors:
                yield _refusal(f"map {name}: data that must not be used (see the log)", counters.data_errors)
        counts = self.server.counters
        for count, text in (
            (self.directory.counters.failures["overloaded"], "lookups failed, as too many waited for the directory"),
            (self.maps.unknown.permanent, "requests for a map that does not exist"),
            (counts.refused, "clients turned away: max_connections were open"),
            (counts.denied, "clients turned away: they may not connect (allow, allow_uid, allow_gid)"),
            (counts.closed_for_room, "clients closed to make room for others"),
            (counts.slow_closed, "clients closed because they sent or read too slowly"),
            (counts.protocol_errors, "clients closed for bytes that are no request"),
            (self.log_dropped(), "log lines dropped: the log was not read fast enough"),
        ):
            if count:
                yield _refusal(text, count)


def _refusal(text: str, count: int, now: bool = False) -> Json:
    return {"text": text, "count": count, "now": now}


def _finite(seconds: float | None) -> float | None:
    """JSON has no infinity: what took longer than the last bound counts as twice that."""
    return 10.0 if seconds == float("inf") else seconds


def _resident() -> int | None:
    try:
        return resident_memory()
    except OSError:
        return None
