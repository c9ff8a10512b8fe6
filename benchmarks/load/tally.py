"""What came back in one phase of a load: latencies, answers by kind, errors, wrong answers; and limits on it.

A limit of ``--fail-if`` (``p99>5ms``, ``rate<10000``, ``wrong>0``, ``cpu>20us``) is a figure, ``>`` or ``<``, and a
number. Latencies and CPU need a unit (ns, us, ms, s); counts and rates take none, or ``%`` of all answers for a count.
"""

from __future__ import annotations

import collections
import re
from collections.abc import Mapping
from typing import NamedTuple

from hdrh.histogram import HdrHistogram

from vmaild.lookup import Status

TIMES = ("p50", "p90", "p99", "p99.9", "max", "mean", "cpu")
COUNTS = ("rate", "ok", "notfound", "temp", "perm", "wrong", "errors")

_MILLISECONDS = {"ns": 1e-6, "us": 1e-3, "ms": 1.0, "s": 1e3}
_LIMIT = re.compile(r"\s*([a-z]+[0-9.]*)\s*([<>])\s*([0-9]+(?:\.[0-9]+)?)\s*(ns|us|ms|s|%)?\s*")

EXAMPLES = 10
"""Wrong answers that are kept word by word; the rest are only counted."""

LARGEST = 3600 * 10**9
"""Longer latencies, in nanoseconds, are counted as this one: an hour, far past every timeout."""

DIGITS = 3
"""Significant digits of a percentile."""


class Latencies:
    """Latencies in nanoseconds, in an HdrHistogram, with the exact ``largest``."""

    def __init__(self) -> None:
        self._histogram = HdrHistogram(1, LARGEST, DIGITS)
        self.record_value = self._histogram.record_value
        self.largest = 0

    def record(self, nanoseconds: int) -> None:
        """Count one latency."""
        if nanoseconds > self.largest:
            self.largest = nanoseconds
        self.record_value(min(max(nanoseconds, 1), LARGEST))

    @property
    def count(self) -> int:
        """How many were counted."""
        return int(self._histogram.get_total_count())

    def percentile(self, percent: float) -> float:
        """The latency that ``percent`` of all do not exceed, in milliseconds; 0 without any."""
        if not self.count:
            return 0.0
        return min(int(self._histogram.get_value_at_percentile(percent)), self.largest) / 1e6

    def summary(self) -> dict[str, float]:
        """p50, p90, p99, p99.9, max and mean, in milliseconds."""
        points = {f"p{percent:g}": self.percentile(percent) for percent in (50, 90, 99, 99.9)}
        return {**points, "max": self.largest / 1e6, "mean": self._histogram.get_mean_value() / 1e6}

    def curve(self) -> list[tuple[float, float]]:
        """Percents and latencies in milliseconds, closer together towards 100 percent."""
        percents = [100 * (1 - 0.5 ** (step / 4)) for step in range(54)]
        return [(percent, self.percentile(percent)) for percent in percents if self.count]


class Tally:
    """Counts of one phase (the warm-up, then the measurement).

    Only requests that began at ``began`` (nanoseconds) or later count, so that none of the warm-up spills over.
    """

    __slots__ = ("began", "checked", "errors", "examples", "kinds", "latency", "wrong")

    def __init__(self, began: int) -> None:
        self.began = began
        self.latency = Latencies()
        self.kinds = dict.fromkeys(Status, 0)
        self.errors: collections.Counter[str] = collections.Counter()
        self.checked = 0
        self.wrong = 0
        self.examples: list[str] = []

    def answer(self, status: Status, since: int, now: int) -> None:
        """Count an answer to a request of ``since``, both in nanoseconds."""
        if since >= self.began:
            self.kinds[status] += 1
            self.latency.record(now - since)

    def check(self, right: bool, since: int, example: str = "") -> None:
        """Count an answer that an expectation exists for."""
        if since >= self.began:
            self.checked += 1
            self.wrong += not right
            if not right and len(self.examples) < EXAMPLES:
                self.examples.append(example)

    def error(self, kind: str, since: int, now: int) -> None:
        """Count a request that got no answer. It waited at least until ``now``, and that is a latency too."""
        if since >= self.began:
            self.errors[kind] += 1
            self.latency.record(now - since)

    @property
    def answers(self) -> int:
        """All answers, of every kind."""
        return sum(self.kinds.values())


class Limit(NamedTuple):
    """One limit: ``number`` is in milliseconds, a count, a rate each second, or percent when ``share``."""

    text: str
    figure: str
    above: bool
    number: float
    share: bool = False

    def broken(self, figures: Mapping[str, float]) -> bool:
        """True when the result does not keep to it. A figure that was not measured breaks every limit on it."""
        value = figures.get(self.figure)
        if value is None:
            return True
        if self.share:
            value = 100.0 * value / figures["answers"] if figures["answers"] else 0.0
        return value > self.number if self.above else value < self.number


def parse_limit(text: str) -> Limit:
    """Read a limit. Raises ``ValueError`` that says what is wrong."""
    match = _LIMIT.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no limit; write it like 'p99>5ms', 'rate<10000' or 'wrong>0'")
    figure, sign, digits, unit = match.groups()
    if figure not in TIMES + COUNTS:
        raise ValueError(f"{text!r}: unknown figure {figure!r}; there are {', '.join(TIMES + COUNTS)}")
    if figure in TIMES and unit not in _MILLISECONDS:
        raise ValueError(f"{text!r}: {figure} needs a unit: ns, us, ms or s")
    if figure in COUNTS and unit and (unit != "%" or figure == "rate"):
        raise ValueError(f"{text!r}: {figure} takes no unit {unit!r}")
    return Limit(text, figure, sign == ">", float(digits) * _MILLISECONDS.get(unit, 1.0), share=unit == "%")
