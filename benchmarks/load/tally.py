"""What came back in one phase of a load: latencies, answers by kind, errors, wrong answers; and limits on it."""

import collections
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from hdrh.histogram import HdrHistogram

from benchmarks.load.questions import Question, is_right
from benchmarks.report.rows import Figures
from vmaild.lookup import Reply, Status

TIMES = ("p50", "p90", "p99", "p99.9", "max", "mean", "cpu")
COUNTS = ("ok", "notfound", "temp", "perm", "wrong", "errors")
_MILLISECONDS = {"ns": 1e-6, "us": 1e-3, "ms": 1.0, "s": 1e3}
_LIMIT = re.compile(r"\s*([a-z]+[0-9.]*)\s*([<>])\s*([0-9]+(?:\.[0-9]+)?)\s*(ns|us|ms|s|%)?\s*")
_FORM = f"""write {", ".join(TIMES)} with ns, us, ms or s, as in p99>5ms; rate, as in rate<10000;
or {", ".join(COUNTS)}, as in wrong>0, or in percent of the answers, as in temp>1%"""
EXAMPLES = 10
"""Wrong answers that are kept word by word; the rest are only counted."""


def latencies() -> HdrHistogram:
    """Of nanoseconds, with three significant digits, up to an hour, which is far past every timeout."""
    return HdrHistogram(1, 3600 * 10**9, 3)


def summary(histogram: HdrHistogram) -> Figures:
    """p50, p90, p99, p99.9, max and mean in milliseconds; 0 without any."""
    points = {f"p{percent:g}": percent for percent in (50, 90, 99, 99.9)} | {"max": 100}
    values = {name: histogram.get_value_at_percentile(percent) / 1e6 for name, percent in points.items()}
    return {**values, "mean": histogram.get_mean_value() / 1e6}


class Tally:
    """Counts of one phase, of requests since ``began`` (ns): none of the warm-up spills into the measurement."""

    def __init__(self, began: int) -> None:
        self.began, self.latency = began, latencies()
        self.kinds = dict.fromkeys(Status, 0)
        self.errors: collections.Counter[str] = collections.Counter()
        self.checked = self.wrong = 0
        self.examples: list[str] = []

    def answer(self, question: Question, reply: Reply, since: int, now: int, right: bool = False) -> None:
        """Count an answer to a question of ``since``; ``right`` where it was seen to be the expected one."""
        if since < self.began:
            return
        self.kinds[reply.status] += 1
        self.latency.record_value(now - since)
        self.checked += question.expected is not None
        if not right and question.expected and not is_right(question.expected, reply):
            self.wrong += 1
            if len(self.examples) < EXAMPLES:
                got, expected = (b"%b %b" % (each.status.value, each.text) for each in (reply, question.expected))
                text = b"%b: %b, but %b is right" % (question.key, got.rstrip(), expected.rstrip())
                self.examples.append(text.decode(errors="backslashreplace"))

    def error(self, kind: str, since: int, now: int) -> None:
        """Count a request that got no answer. It waited at least until ``now``, and that is a latency too."""
        if since >= self.began:
            self.errors[kind] += 1
            self.latency.record_value(now - since)

    @property
    def answers(self) -> int:
        return sum(self.kinds.values())

    def line(self, now: int) -> str:
        """Answers a second so far, errors and wrong answers, for people. A percentile would hold the load for 10 ms."""
        line = f"{self.answers * 1e9 / max(1, now - self.began):,.0f}/s"
        line += f", {sum(self.errors.values())} errors" if self.errors else ""
        return line + (f", {self.wrong} WRONG" if self.wrong else "")

    def figures(self, seconds: float, cpu: Mapping[str, float]) -> Figures:
        """Latencies in ms, counts, the rate a second, and out of the milliseconds of ``cpu`` those for each answer."""
        answers = self.answers
        each = {name: used / max(1, answers) for name, used in cpu.items()}
        counts = {"answers": answers, "checked": self.checked, "wrong": self.wrong, "errors": sum(self.errors.values())}
        figures = {"seconds": seconds, "rate": answers / seconds, "client_cpu": each.pop("cpu client"), **counts}
        kinds = {status.value.decode().lower(): number for status, number in self.kinds.items()}
        total = {"cpu": sum(each.values())} if each and answers else {}
        return {**kinds, **summary(self.latency), **figures, **each, **total}


class Limit(NamedTuple):
    """One limit. It is ``broken`` by figures that do not keep to it, and by those that lack what it is on."""

    text: str
    broken: Callable[[Figures], bool]


def parse_limit(text: str) -> Limit:
    """Read a limit. Raises ``ValueError`` that says what is wrong."""
    match = _LIMIT.fullmatch(text)
    figure, sign, digits, unit = match.groups("") if match else ("", "", "", "")
    units = _MILLISECONDS if figure in TIMES else ("", "%") if figure in COUNTS else ("",) if figure == "rate" else ()
    if unit not in units:
        raise ValueError(f"{text!r} is no limit: {_FORM}")

    def broken(figures: Figures) -> bool:
        # Times are milliseconds, and a share is one of the answers.
        bound = float(digits) * _MILLISECONDS.get(unit, max(1.0, figures["answers"]) / 100 if unit == "%" else 1.0)
        value = figures.get(figure)
        return value is None or (value > bound if sign == ">" else value < bound)

    return Limit(text, broken)
