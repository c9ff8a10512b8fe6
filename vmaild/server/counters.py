"""What the server counts: plain integers, read when someone asks for the metrics."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

# Upper ends in seconds. A cached answer takes microseconds, a search a millisecond, a failing directory seconds.
LATENCY_BOUNDS = (
    *(0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005),
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
)


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


class Latency:
    """A histogram of seconds: ``counts[i]`` is how many took at most ``LATENCY_BOUNDS[i]``, the last one the rest."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(LATENCY_BOUNDS) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        """Count one duration."""
        self.counts[bisect_left(LATENCY_BOUNDS, seconds)] += 1
        self.total += seconds
