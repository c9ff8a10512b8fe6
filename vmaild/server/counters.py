"""What the server counts: plain integers, read when someone asks for the metrics."""

from __future__ import annotations

from dataclasses import dataclass

from vmaild.maps.latency import LATENCY_BOUNDS, Latency

__all__ = ["LATENCY_BOUNDS", "Latency", "ServerCounters"]


@dataclass(slots=True)
class ServerCounters:
    """Events since the start."""

    accepted: int = 0
    """Connections taken on."""
    refused: int = 0
    """Connections closed at once because there were too many."""
    idle_closed: int = 0
    """Connections closed because they were silent for too long."""
    slow_closed: int = 0
    """Connections closed because a request stayed incomplete, or the client did not take its answers."""
    closed_for_room: int = 0
    """Connections closed because all places were taken and they had been idle or slow longest."""
    denied: int = 0
    """Connections closed at once because of where, or which user, they came from."""
    protocol_errors: int = 0
    """Connections closed because of what they sent."""
    lookups: int = 0
    """Requests that the cache could not answer at once, and ``put`` commands."""
    pipelined: int = 0
    """Requests that the cache answered at once, but outside the hot path: in pieces, or several at a time."""
