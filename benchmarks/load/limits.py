"""Limits on a result, as ``--fail-if`` takes them: ``p99>5ms``, ``rate<10000``, ``wrong>0``, ``cpu>20us``.

A limit is a figure, ``>`` or ``<``, and a number with the figure's unit. Latencies and CPU need a unit (ns, us,
ms, s); counts and rates take none, or ``%`` of all answers for a count.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

TIMES = ("p50", "p90", "p99", "p99.9", "max", "mean", "cpu")
COUNTS = ("rate", "ok", "notfound", "temp", "perm", "wrong", "errors")

_MILLISECONDS = {"ns": 1e-6, "us": 1e-3, "ms": 1.0, "s": 1e3}
_LIMIT = re.compile(r"\s*([a-z]+[0-9.]*)\s*([<>])\s*([0-9]+(?:\.[0-9]+)?)\s*(ns|us|ms|s|%)?\s*")


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
