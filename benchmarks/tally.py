"""What came back in one phase of a load: latencies, answers by kind, errors, wrong answers."""

from __future__ import annotations

import collections

from benchmarks.histogram import Histogram
from vmaild.lookup import Status

EXAMPLES = 10
"""Wrong answers that are kept word by word; the rest are only counted."""


class Tally:
    """Counts of one phase (the warm-up, then the measurement).

    Only requests that began at ``began`` (nanoseconds) or later count, so that none of the warm-up spills over.
    """

    __slots__ = ("began", "checked", "errors", "examples", "kinds", "latency", "wrong")

    def __init__(self, began: int) -> None:
        self.began = began
        self.latency = Histogram()
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
        if since < self.began:
            return
        self.checked += 1
        if not right:
            self.wrong += 1
            if len(self.examples) < EXAMPLES:
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
