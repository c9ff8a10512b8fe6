"""How long answers took: a histogram of seconds, and what can be read off it. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

LATENCY_BOUNDS = (
    *(0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005),
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
)
"""Upper ends in seconds. A cached answer takes microseconds, a search a millisecond, a failing directory seconds."""


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


def quantile(counts: Sequence[float], share: float) -> float | None:
    """The seconds that ``share`` of the durations took at most: the upper end of their bucket; None without any.

    What took longer than the last bound is infinite.
    """
    wanted = sum(counts) * share
    if not wanted:
        return None
    seen = 0.0
    for bound, count in zip(LATENCY_BOUNDS, counts, strict=False):
        seen += count
        if seen >= wanted:
            return bound
    return float("inf")


def mixed(hits: int, cached: Sequence[int], looked_up: Sequence[int]) -> list[float]:
    """The histogram of answers of which ``hits`` came from the cache and the others were looked up.

    ``cached`` is a sample of how long cached answers take; where none was taken they count as the fastest.
    """
    sampled = sum(cached)
    shares = [count / sampled for count in cached] if sampled else [1.0, *[0.0] * (len(cached) - 1)]
    return [hits * share + count for share, count in zip(shares, looked_up, strict=True)]
