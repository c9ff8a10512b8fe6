"""Latencies in log-sized buckets: constant memory, a cheap record, percentiles with a known error.

A value is a whole number of nanoseconds. Values below ``2**SUB_BITS`` have a bucket each; above, every power of two
is cut into ``2**SUB_BITS`` buckets, so a percentile is at most 1/128 (0.8 %) above the true one, and never below it.
"""

from __future__ import annotations

from collections.abc import Iterable

SUB_BITS = 7
"""Buckets for each power of two, as a power of two: an error below 1 %, in 4,600 counters."""

LARGEST = (1 << 42) - 1
"""Longer latencies are counted as this one: 73 minutes, far past every timeout."""

_SUB = 1 << SUB_BITS
_BUCKETS = (LARGEST.bit_length() - SUB_BITS + 1) << SUB_BITS


def bucket(value: int) -> int:
    """The number of the bucket that ``value`` falls into."""
    if value < _SUB:
        return max(value, 0)
    shift = min(value, LARGEST).bit_length() - SUB_BITS - 1
    return (shift << SUB_BITS) + (min(value, LARGEST) >> shift)


def upper(index: int) -> int:
    """The largest value that falls into bucket ``index``."""
    if index < _SUB * 2:
        return index
    shift = (index >> SUB_BITS) - 1
    return (((index & (_SUB - 1)) + _SUB + 1) << shift) - 1


class Histogram:
    """Counts of values by bucket, with the exact count, sum, smallest and largest."""

    __slots__ = ("_counts", "count", "largest", "smallest", "total")

    def __init__(self, values: Iterable[int] = ()) -> None:
        self._counts = [0] * _BUCKETS
        self.count = 0
        self.total = 0
        self.smallest = LARGEST
        self.largest = 0
        for value in values:
            self.record(value)

    def record(self, value: int) -> None:
        """Count one value, in nanoseconds."""
        # bucket() written out: this runs once for each answer, and a call is a quarter of its cost.
        if value < _SUB:
            index = value if value > 0 else 0
        elif value <= LARGEST:
            shift = value.bit_length() - SUB_BITS - 1
            index = (shift << SUB_BITS) + (value >> shift)
        else:
            index = bucket(value)
        self._counts[index] += 1
        self.count += 1
        self.total += value
        if value > self.largest:
            self.largest = value
        if value < self.smallest:
            self.smallest = value

    def merge(self, other: Histogram) -> None:
        """Add the counts of ``other``."""
        for index, number in enumerate(other._counts):
            if number:
                self._counts[index] += number
        self.count += other.count
        self.total += other.total
        self.smallest = min(self.smallest, other.smallest)
        self.largest = max(self.largest, other.largest)

    @property
    def mean(self) -> float:
        """The exact mean in nanoseconds; 0 without values."""
        return self.total / self.count if self.count else 0.0

    def percentile(self, percent: float) -> int:
        """The value that ``percent`` of all values do not exceed (nearest rank), in nanoseconds; 0 without values."""
        if not 0 <= percent <= 100:
            raise ValueError(f"no percentile: {percent}")
        rank = max(1, _ceil_share(self.count, percent))
        seen = 0
        for index, number in enumerate(self._counts):
            seen += number
            if number and seen >= rank:
                return min(upper(index), self.largest)
        return 0

    def summary(self) -> dict[str, float]:
        """p50, p90, p99, p99.9, max and mean, in milliseconds."""
        points = {f"p{percent:g}": self.percentile(percent) / 1e6 for percent in (50, 90, 99, 99.9)}
        return {**points, "max": self.largest / 1e6, "mean": self.mean / 1e6}


def _ceil_share(count: int, percent: float) -> int:
    # In thousandths of a percent, as whole numbers: 99.9 / 100 * 1000 is 999.0000000000001 in floats.
    return -(-count * round(percent * 1000) // 100_000)
