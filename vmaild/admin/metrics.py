"""What the daemon has counted, for Prometheus and for ``vmaild stats``.

The parts of the daemon count in plain integers; nothing is counted here. ``Metrics`` reads them when it is asked
and makes the exposition for ``/metrics``, or a JSON-able dict for the control socket. vmaild-metrics(7)
lists all names.

The registry is the daemon's own, with the process metrics of prometheus_client beside the daemon's.
"""

from __future__ import annotations

import itertools
import math
import time
from collections import Counter
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

import vmaild
from vmaild.admin.feed_metrics import FeedMetrics
from vmaild.directory import KINDS
from vmaild.lookup import Status
from vmaild.maps import LATENCY_BOUNDS, Latency

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from _typeshed import DataclassInstance

    from vmaild.cache import Cache
    from vmaild.directory import Directories, ServerStatus
    from vmaild.maps import MapCounters, Maps
    from vmaild.server import Server

UNKNOWN_MAP = "(unknown)"
"""The label of requests that named no map of this daemon. No map can be called so."""

# Field of the counters, name of the metric (without vmaild_ and _total), help.
_CACHE = (
    ("misses", "cache_misses", "Lookups without an answer in the cache that could serve"),
    ("prefetches", "cache_prefetches", "Searches begun because an answer neared the end of its life"),
    ("expired", "cache_expired", "Lookups whose answer in the cache had expired"),
    ("slow", "cache_slow", "Lookups given a stale answer because the directory took too long"),
    ("stored", "cache_stored", "Records stored or renewed"),
    ("outdated", "cache_outdated", "Records not stored, since something newer was known"),
    ("too_large", "cache_not_kept", "Records not stored, since they were too large or no room was made in time"),
    ("admitted", "cache_admitted", "Records asked for again before they had to make room, which are kept then"),
    ("returned", "cache_returned", "Records asked for again after they had made room, which are kept then"),
    ("shared", "cache_shared", "Lookups that waited for the search of another"),
    ("failures", "cache_search_failures", "Lookups that failed"),
)
_SERVER = (
    ("accepted", "connections_accepted", "Connections of clients taken on"),
    ("refused", "connections_refused", "Connections of clients refused because there were too many"),
    ("idle_closed", "connections_idle_closed", "Connections of clients closed because they were silent"),
    ("slow_closed", "connections_slow_closed", "Connections of clients closed because they sent or read too slowly"),
    ("closed_for_room", "connections_closed_for_room", "Connections of clients closed to make room for others"),
    ("denied", "connections_denied", "Connections closed at once because of where they came from"),
    ("protocol_errors", "protocol_errors", "Connections closed because of bytes that were no request"),
    ("lookups", "requests_looked_up", "Requests that the cache could not answer at once"),
    ("pipelined", "requests_pipelined", "Requests in pieces or several at a time that the cache answered"),
)
_FLIGHTS = (
    ("refused", "lookups_refused", "Lookups failed at once because too many waited"),
    ("refused_of_a_client", "lookups_refused_of_a_client", "Lookups failed at once because their client had too many"),
    ("too_late", "lookups_too_late", "Lookups failed because less time was left than a search takes"),
)
_LDAP = (
    ("searches", "ldap_searches", "Searches that the directory was asked for"),
    ("empty", "ldap_empty_answers", "Searches that found no entry"),
    ("too_large", "ldap_answers_too_large", "Answers refused because no reply could be made of so much"),
    ("retries", "ldap_retries", "Searches tried a second time"),
    ("failed_fast", "ldap_failed_fast", "Searches failed at once because no server was up"),
    ("waited", "ldap_waited", "Searches that had to wait for a connection"),
    ("cancelled", "ldap_cancelled", "Searches given up because their caller had gone"),
    ("connects", "ldap_connects", "LDAP connections made"),
    ("lost", "ldap_connections_lost", "LDAP connections that broke"),
    ("retired", "ldap_connections_retired", "LDAP connections closed because of their age"),
    ("checks", "ldap_checks", "Checks that a server holds the search base"),
    ("check_failures", "ldap_check_failures", "Checks that failed"),
    ("taken_out", "ldap_servers_taken_out", "Servers taken out with connections open"),
    ("slowed", "ldap_servers_slowed", "Times that a server was found to be slow beside another"),
    ("failovers", "ldap_failovers", "Changes to a less preferred server"),
    ("failbacks", "ldap_failbacks", "Changes to a more preferred server"),
)


class _Process(ProcessCollector):
    """The metrics of the process, also where /proc/stat is hidden (``ProcSubset=pid`` of the unit)."""

    def _boot_time(self) -> float:
        return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)


class Metrics(Collector):
    """Reads the counters of the four parts, and the changes that arrive. Nothing here blocks or waits."""

    def __init__(
        self,
        *,
        cache: Cache,
        server: Server,
        directory: Directories,
        maps: Maps,
        feed: FeedMetrics | None = None,
        log_dropped: Callable[[], int] = lambda: 0,
    ) -> None:
        """``log_dropped``: how many log lines were dropped (``vmaild.process.Log.dropped``)."""
        self._log_dropped = log_dropped
        self._feed = feed or FeedMetrics()
        self._cache = cache
        self._server = server
        self._directory = directory
        self._maps = maps
        self.registry = CollectorRegistry(auto_describe=False)
        self.registry.register(self)
        _Process(registry=self.registry)

    def use(self, directory: Directories, maps: Maps, feed: FeedMetrics | None = None) -> None:
        """Read these from now on."""
        self._directory = directory
        self._feed = feed or FeedMetrics()
        self._maps = maps

    def exposition(self) -> bytes:
        """The page for /metrics, in the text format of ``prometheus_client.CONTENT_TYPE_LATEST``."""
        return generate_latest(self.registry)

    def collect(self) -> Iterator[Metric]:
        """The daemon's own metrics, for the registry."""
        info = GaugeMetricFamily("vmaild_info", "Always 1; the version is in the label", labels=["version"])
        info.add_metric([vmaild.__version__], 1)
        yield info
        yield from self._of_maps()
        yield from self._of_the_cache()
        yield from self._of_the_server()
        yield from self._of_the_directory()
        yield _counter(
            "log_lines_dropped", "Log lines dropped because the log was not read fast enough", value=self._log_dropped()
        )
        yield from self._feed.collect()

    def lookups(self) -> Counter[tuple[str, str]]:
        """Replies so far, by map and status (``found``, ``not_found``, ``temporary``, ``permanent``)."""
        replies: Counter[tuple[str, str]] = Counter()
        for name, counters in self._map_counters():
            for status in Status:
                replies[name, status.name.lower()] += getattr(counters, status.name.lower())
        for tally in self._cache.tallies:
            replies[tally.map_name, tally.status.name.lower()] += tally.hits
        return replies

    def stats(self) -> dict[str, Any]:
        """The same numbers as a dict that JSON can carry, by part."""
        lookups: dict[str, dict[str, int]] = {name: {} for name, _ in self._map_counters()}
        for (name, status), count in self.lookups().items():
            lookups.setdefault(name, {})[status] = count
        directory, cache = self._directory.status(), self._cache
        return {
            "version": vmaild.__version__,
            "lookups": lookups,
            "maps": {name: _as_dict(counters) for name, counters in self._map_counters()},
            "missing_canaries": {name: list(keys) for name, keys in self._maps.canaries.missing.items()},
            "cache": _as_dict(cache.counters)
            | {
                "evictions": {f"{kind}, {reason}": count for (kind, reason), count in cache.counters.evictions.items()},
                "bytes": cache.sizes | {"requests": self._server.recent_size},
                "records": len(cache),
                "lookups_in_flight": self._maps.in_flight,
            },
            "flights": _as_dict(self._maps.flight_counters),
            "changes": self._feed.stats(),
            "server": _as_dict(self._server.counters) | {"connections": self._server.connections},
            "log": {"dropped": self._log_dropped()},
            "directory": _as_dict(self._directory.counters)
            | {"waiting": directory.waiting, "servers": [_as_dict(server) for server in directory.servers]},
        }

    def _map_counters(self) -> Iterable[tuple[str, MapCounters]]:
        return itertools.chain(self._maps.counters.items(), [(UNKNOWN_MAP, self._maps.unknown)])

    def _of_maps(self) -> Iterator[Metric]:
        replies = _counter("lookups", "Replies to clients", "map", "status")
        for labels, count in self.lookups().items():
            replies.add_metric(labels, count)
        yield replies
        data_errors = _counter("data_errors", "Lookups refused because the directory's data was unsafe", "map")
        refusals = _counter("canary_refusals", "NOTFOUND answers turned into TEMP for a missing canary", "map")
        missing = _gauge("canaries_missing", "Canaries that the directory does not show", "map")
        for name, counters in self._maps.counters.items():
            data_errors.add_metric([name], counters.data_errors)
            refusals.add_metric([name], counters.canary_refusals)
            missing.add_metric([name], len(self._maps.canaries.missing.get(name, ())))
        yield from (data_errors, refusals, missing)

    def _of_the_cache(self) -> Iterator[Metric]:
        cache = self._cache
        yield from _plain(cache.counters, _CACHE)
        hits = _counter("cache_hits", "Answers given from the cache", "map", "status", "age")
        for labels, count in _hits(cache).items():
            hits.add_metric(labels, count)
        yield hits
        yield from self._of_the_room(cache)
        yield _gauge("lookups_in_flight", "Keys that are being looked up", value=self._maps.in_flight)

    def _of_the_room(self, cache: Cache) -> Iterator[Metric]:
        records = _gauge("cache_records", "Records in the cache", "kind")
        limits = _gauge("cache_records_max", "Most records that the cache holds", "kind")
        counters, settings = cache.counters, cache.settings
        for kind, held, limit in (
            ("positive", cache.counts[True], settings.max_entries),
            ("negative", cache.counts[False], settings.max_negative_entries),
        ):
            records.add_metric([kind], held)
            limits.add_metric([kind], limit)
        yield from (records, limits)
        sizes = _gauge("cache_bytes", "Memory of the records, and of what is remembered by raw request", "kind")
        for kind, size in {**cache.sizes, "requests": self._server.recent_size}.items():
            sizes.add_metric([kind], size)
        yield sizes
        yield _gauge("cache_bytes_max", "Most memory that all of these may take", value=settings.max_size)
        text = "Memory that records leave unused, since the process holds much more than what is counted"
        yield _gauge("cache_bytes_withheld", text, value=cache.withheld)
        evictions = _counter("cache_evictions", "Records that made room for others", "kind", "reason")
        for (kind, reason), count in counters.evictions.items():
            evictions.add_metric([kind, reason], count)
        yield evictions
        yield from _plain(self._maps.flight_counters, _FLIGHTS)

    def _of_the_server(self) -> Iterator[Metric]:
        yield _gauge("connections", "Connections of clients", value=self._server.connections)
        yield from _plain(self._server.counters, _SERVER)
        yield _histogram(
            "cached_answer_seconds", "Time that answers from the cache took, of a sample", self._server.cached_latency
        )
        yield _histogram("lookup_seconds", "Time that all other lookups took", self._server.lookup_latency)

    def _of_the_directory(self) -> Iterator[Metric]:
        counters, status = self._directory.counters, self._directory.status()
        yield from _plain(counters, _LDAP)
        for name, documentation, by_kind in (
            ("ldap_failures", "Searches that failed", counters.failures),
            ("ldap_connect_failures", "LDAP connections that could not be made", counters.connect_failures),
        ):
            family = _counter(name, documentation, "kind")
            for kind in dict.fromkeys((*KINDS, *by_kind)):
                family.add_metric([kind], by_kind[kind])
            yield family
        yield _gauge("ldap_searches_waiting", "Searches that wait for a connection", value=status.waiting)
        yield from _of_servers(status.servers)


def _of_servers(servers: Iterable[ServerStatus]) -> Iterator[Metric]:
    up = _gauge("ldap_server_up", "Whether lookups can be sent to the server, 1 or 0", "server")
    current = _gauge("ldap_server_current", "Whether lookups go to the server now, 1 or 0", "server")
    behind = _gauge("ldap_server_behind", "Whether the server's data is older than what was seen elsewhere", "server")
    slow = _gauge("ldap_server_slow", "Whether the server's probes take much longer than another's", "server")
    probe = _gauge("ldap_server_probe_seconds", "Time that a probe of the server takes, NaN when not known", "server")
    connections = _gauge("ldap_connections", "LDAP connections", "server", "state")
    for server in servers:
        up.add_metric([server.uri], server.up)
        current.add_metric([server.uri], server.current)
        behind.add_metric([server.uri], server.behind)
        slow.add_metric([server.uri], server.slow)
        probe.add_metric([server.uri], math.nan if server.probe_seconds is None else server.probe_seconds)
        connections.add_metric([server.uri, "idle"], server.connections - server.in_use)
        connections.add_metric([server.uri, "in_use"], server.in_use)
        connections.add_metric([server.uri, "opening"], server.opening)
    yield from (up, current, behind, slow, probe, connections)


def _hits(cache: Cache) -> Counter[tuple[str, str, str]]:
    """What the cache's tallies say, by map, status and age."""
    hits: Counter[tuple[str, str, str]] = Counter()
    for tally in cache.tallies:
        age = "stale" if tally.stale else "fresh"
        hits[tally.map_name, tally.status.name.lower(), age] += tally.hits
    return hits


def _as_dict(counters: DataclassInstance) -> dict[str, Any]:
    # dataclasses.asdict() makes nonsense of a Counter.
    values = ((field.name, getattr(counters, field.name)) for field in fields(counters))
    return {name: _as_json(value) for name, value in values}


def _as_json(value: object) -> object:
    if isinstance(value, Latency):
        return {"counts": value.counts, "seconds": value.total}
    return dict(value) if isinstance(value, Counter) else value


def _plain(counters: object, fields: Iterable[tuple[str, str, str]]) -> Iterator[Metric]:
    for field, name, documentation in fields:
        yield _counter(name, documentation, value=getattr(counters, field))


def _counter(name: str, documentation: str, *labels: str, value: float | None = None) -> CounterMetricFamily:
    return CounterMetricFamily(f"vmaild_{name}", documentation, labels=labels or None, value=value)


def _gauge(name: str, documentation: str, *labels: str, value: float | None = None) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"vmaild_{name}", documentation, labels=labels or None, value=value)


def _histogram(name: str, documentation: str, latency: Latency) -> HistogramMetricFamily:
    bounds = [*map(str, LATENCY_BOUNDS), "+Inf"]
    cumulated = list(itertools.accumulate(latency.counts))
    return HistogramMetricFamily(
        f"vmaild_{name}", documentation, buckets=list(zip(bounds, cumulated, strict=True)), sum_value=latency.total
    )
