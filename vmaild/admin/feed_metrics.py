"""Metrics of what is heard of the directory's changes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from vmaild.feed import Feed, HostedDomains
from vmaild.maps import Freshness

MODES = ("sync", "poll", "none")

_COUNTERS = (
    ("changes", "changes_heard", "Changes heard of the directory"),
    ("unchanged", "changes_without_effect", "Changes that are nothing to the maps, such as logins"),
    ("dropped", "cache_dropped", "Records dropped because of a change"),
    ("overtaken", "cache_overtaken", "Records not kept, since a change was heard during their search"),
    ("aged", "cache_aged", "How often every record was set to be renewed at its next use"),
)


class FeedMetrics:
    """``feed`` is None where changes are not to be heard, ``domains`` where the maps have no set of domains."""

    def __init__(self, feed: Feed | None, freshness: Freshness | None, domains: HostedDomains | None) -> None:
        self._feed = feed
        self._freshness = freshness
        self._domains = domains

    def collect(self) -> Iterator[Metric]:
        """For the registry."""
        mode = self._feed.counters.mode if self._feed is not None else "none"
        heard = GaugeMetricFamily("vmaild_changes_mode", "How changes are heard: 1 for the way in use", labels=["mode"])
        for one in MODES:
            heard.add_metric([one], one == mode)
        yield heard
        lost = self._feed.counters.losses if self._feed is not None else 0
        yield CounterMetricFamily("vmaild_changes_lost", "How often hearing of changes was interrupted", value=lost)
        for field, name, documentation in _COUNTERS:
            value = getattr(self._freshness.counters, field) if self._freshness is not None else 0
            yield CounterMetricFamily(f"vmaild_{name}", documentation, value=value)
        count = len(self._domains.names) if self._domains is not None and self._domains.known else 0
        yield GaugeMetricFamily(
            "vmaild_hosted_domains", "Hosted domains known as a set; 0 for no such set", value=count
        )

    def stats(self) -> dict[str, Any]:
        """The same for ``vmaild stats``."""
        counters: dict[str, Any] = {}
        if self._feed is not None:
            feed = self._feed.counters
            counters = {"mode": feed.mode, "server": feed.server, "why": feed.why, "lost": feed.losses}
        if self._freshness is not None:
            counters |= {name: getattr(self._freshness.counters, field) for field, name, _ in _COUNTERS}
            counters["dependences"] = len(self._freshness)
        if self._domains is not None:
            counters["hosted_domains"] = len(self._domains.names) if self._domains.known else None
        return counters or {"mode": "none"}
