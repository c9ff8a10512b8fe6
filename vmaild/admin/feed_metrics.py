"""Metrics of the directory's changes that arrive."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from vmaild.feed import Feed, HostedDomains
from vmaild.maps import Freshness

MODES = ("sync", "poll", "none")

_COUNTERS = (
    ("changes", "changes_heard", "Changes that the directory reported"),
    ("unchanged", "changes_without_effect", "Changes that concern no map, such as logins"),
    ("dropped", "cache_dropped", "Records dropped because of a change"),
    ("overtaken", "cache_overtaken", "Records not kept, since a change was reported during their search"),
    ("aged", "cache_aged", "How often every record was set to be renewed at its next use"),
)


class FeedMetrics:
    """``feeds`` and ``freshness`` are those of the directories whose changes are followed; ``domains`` is None where
    the maps have no set of domains."""

    def __init__(
        self, feeds: Sequence[Feed] = (), freshness: Sequence[Freshness] = (), domains: HostedDomains | None = None
    ) -> None:
        self._feeds = feeds
        self._freshness = freshness
        self._domains = domains

    def collect(self) -> Iterator[Metric]:
        """For the registry."""
        heard = GaugeMetricFamily(
            "vmaild_changes_mode", "Directories that report their changes that way now", labels=["mode"]
        )
        for one in MODES:
            heard.add_metric([one], sum(feed.counters.mode == one for feed in self._feeds))
        yield heard
        lost = sum(feed.counters.losses for feed in self._feeds)
        yield CounterMetricFamily(
            "vmaild_changes_lost", "How often the reporting of changes was interrupted", value=lost
        )
        for field, name, documentation in _COUNTERS:
            yield CounterMetricFamily(f"vmaild_{name}", documentation, value=self._count(field))
        size = sum(one.size for one in self._freshness)
        yield GaugeMetricFamily(
            "vmaild_cache_dependences_bytes", "Bytes of memory for what records were made from", value=size
        )
        yield GaugeMetricFamily(
            "vmaild_hosted_domains", "Hosted domains known as a set; 0 for no such set", value=self._hosted or 0
        )

    @property
    def _hosted(self) -> int | None:
        return len(self._domains.names) if self._domains is not None and self._domains.known else None

    def _count(self, field: str) -> int:
        return sum(getattr(one.counters, field) for one in self._freshness)

    def state(self) -> dict[str, Any]:
        """How changes arrive now, for ``vmaild status``: ``mode`` is the least of the directories'."""
        if not self._feeds:
            return {
                "mode": "none",
                "why": 'changes = "none", or every map asks several directories',
            } | self._known_domains()
        least = max(self._feeds, key=lambda feed: MODES.index(feed.counters.mode)).counters
        state: dict[str, Any] = {"mode": least.mode}
        state |= {"of": least.server} if least.server else {"why": least.why}
        heard_at = max(one.changed_at for one in self._freshness)
        if heard_at > float("-inf"):
            state["last_change"] = f"{self._freshness[0].now - heard_at:.0f} s ago"
        return state | self._known_domains()

    def _known_domains(self) -> dict[str, Any]:
        return {} if self._hosted is None else {"hosted_domains": self._hosted}

    def stats(self) -> dict[str, Any]:
        """The same for ``vmaild stats``, with what was counted."""
        lost = sum(feed.counters.losses for feed in self._feeds)
        counted = {name: self._count(field) for field, name, _ in _COUNTERS}
        dependences = sum(map(len, self._freshness))
        return {**self.state(), "lost": lost, **counted, "dependences": dependences}
