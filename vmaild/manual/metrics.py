"""The metrics of vmaild-metrics(7), from what the daemon exports."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from vmaild.admin.metrics import Metrics
from vmaild.cache import Cache, CacheSettings
from vmaild.directory import KINDS, Counters, PoolStatus
from vmaild.manual.mdoc import prose
from vmaild.maps import Latency, MapCounters
from vmaild.maps.counters import FlightCounters
from vmaild.server import ServerCounters


def metrics(_: str) -> Iterator[str]:
    """The list items for all metrics: name, type and labels, and the help text."""
    for family in _idle_daemon().collect():
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = ", ".join(getattr(family, "_labelnames", ()))
        yield f".It Li {name} Pq {family.type}" + (f"; {labels}" if labels else "")
        yield from prose(f"{family.documentation}.")


def failures(_: str) -> Iterator[str]:
    """The list items for the kinds of failures of the directory."""
    for kind, meaning in KINDS.items():
        yield f".It Ql {kind}"
        yield from prose(f"{meaning[:1].upper()}{meaning[1:]}.")


def _idle_daemon() -> Metrics:
    """The metrics of a daemon that nobody has asked yet."""
    server = SimpleNamespace(
        counters=ServerCounters(), connections=0, recent_size=0, cached_latency=Latency(), lookup_latency=Latency()
    )
    maps = SimpleNamespace(
        counters={},
        unknown=MapCounters(),
        in_flight=0,
        flight_counters=FlightCounters(),
        canaries=SimpleNamespace(missing={}),
    )
    directory = SimpleNamespace(counters=Counters(), status=lambda: PoolStatus((), 0))
    parts: dict[str, Any] = {"server": server, "maps": maps, "directory": directory}
    return Metrics(cache=Cache(CacheSettings()), **parts)
