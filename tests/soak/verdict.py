"""Whether a run was good: no wrong answer, nobody died, and nothing grew.

Flatness is judged on the second half of the run, when every bound has been reached: by a line fitted to it
(least squares), and how far that rises from one end of the half to the other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.soak.samples import Sample
from tests.soak.schedule import GRACE, Window
from tests.soak.workers import Worker

LEAST_SECONDS = 100.0
"""A run that is shorter is not judged: it takes about that long to do each act once."""

MEMORY_RISE = 4 << 20
"""Bytes over the half. One flood of big answers moves what malloc keeps by this much, up or down; 20 MB an hour, which
was seen once, is 5 MB in the half of a run of 30 minutes."""

DESCRIPTORS_RISE = 3.0
"""Beside those of clients, whose number is the load's. The LDAP pool is 4, and after an outage it may be on its way."""

TASKS_RISE = 3.0
"""A connection to the directory being opened is a task, and so is each check of it."""

HEARD = 1.0
"""Seconds that a value may be old while nothing is down: changes arrive."""

UNHEARD = 5.0
"""Samples, a second or more apart, in which changes may not be heard with nothing down."""


class Line(NamedTuple):
    """A fitted line: its ``rise`` from one end to the other, that ``an_hour``, and the latter's standard ``error``."""

    rise: float
    an_hour: float
    error: float


def fit(points: Sequence[tuple[float, float]]) -> Line:
    """The line through ``points`` (seconds, value); at least three of them at different times."""
    count = len(points)
    mean_x, mean_y = (sum(column) / count for column in zip(*points, strict=True))
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
    left = sum((y - mean_y - slope * (x - mean_x)) ** 2 for x, y in points)
    error = (left / max(1, count - 2) / spread) ** 0.5
    return Line(slope * (points[-1][0] - points[0][0]), slope * 3600, error * 3600)


FLAT: dict[str, tuple[Callable[[Sample], float], float]] = {
    # What is cached comes and goes with the floods, and has a bound of its own.
    "resident beside cache": (lambda sample: sample.resident - sample.cached, MEMORY_RISE),
    "descriptors": (lambda sample: sample.held, DESCRIPTORS_RISE),
    "tasks": (lambda sample: sample.tasks, TASKS_RISE),
}
"""What must be flat, and by how much it may rise."""


@dataclass
class Outcome:
    """A whole run, as it is judged."""

    began: float
    seconds: float
    samples: list[Sample]
    windows: list[Window]
    workers: list[Worker]
    broken: list[str] = field(default_factory=list)
    exit_status: int = 0
    daemon_log: str = ""

    def second_half(self) -> list[Sample]:
        """The samples after the warm-up."""
        return [sample for sample in self.samples if sample.at >= self.began + self.seconds / 2]

    def lines(self) -> dict[str, Line]:
        """The fitted lines by name; none when the run was too short for them."""
        half = self.second_half()
        if len(half) < 3 or self.seconds < LEAST_SECONDS:
            return {}
        return {name: fit([(sample.at, value(sample)) for sample in half]) for name, (value, _) in FLAT.items()}

    def problems(self) -> list[str]:
        """What is not as it must be."""
        found = list(self.broken)
        if self.exit_status:
            found.append(f"the daemon ended with {self.exit_status}: {self.daemon_log[-1500:]}")
        for worker in self.workers:
            found += [f"{worker.name}: {text}" for text in worker.tally.examples]
            if worker.tally.wrong > len(worker.tally.examples):
                found.append(f"{worker.name}: {worker.tally.wrong} wrong answers in all")
            if not worker.tally.answers:
                found.append(f"{worker.name} was not answered: {worker.last_words()}")
            found += self._unexcused(worker) + self._too_old(worker)
        if len(self.samples) < 3:
            found.append("the daemon was hardly ever sampled")
        found += self._unheard()
        for name, line in self.lines().items():
            if line.rise > FLAT[name][1]:
                found.append(f"{name} rose by {line.rise:,.0f} in the second half, more than {FLAT[name][1]:,.0f}")
        return found

    def excused(self, asked: float, read: float) -> bool:
        """Whether something was down while the answer was waited for, or a moment before."""
        return any(
            window.outage and window.begin - 1 <= read and asked <= window.end + GRACE for window in self.windows
        )

    def during(self, at: float) -> str:
        """What happened at the time ``at``."""
        return next((window.name for window in self.windows if window.begin <= at <= window.end + 1), "calm")

    def _unexcused(self, worker: Worker) -> list[str]:
        when: Counter[str] = Counter()
        for seconds, count in worker.tally.temporary.items():
            asked, read = map(float, seconds.split())
            if not self.excused(asked, read + 1):
                when[f"{read - self.began:.0f} s ({self.during(read)})"] += count
        found = [f"{worker.name}: {count} x TEMP with nothing down, at {at}" for at, count in when.items()]
        paused = [window for window in self.windows if window.name == "pause"]
        for second, count in worker.tally.cut.items():
            if not any(window.begin <= float(second) + 1 and float(second) <= window.end + 2 for window in paused):
                found.append(f"{worker.name}: {count} connections cut at {int(second) - self.began:.0f} s")
        return found

    def _unheard(self) -> list[str]:
        modes = Counter(
            sample.told.get("changes", {}).get("mode", "sync")
            for sample in self.samples
            if not self.excused(sample.at, sample.at)
        )
        unheard = modes.total() - modes["sync"]
        return [f"changes did not arrive by sync in {unheard} samples: {dict(modes)}"] if unheard > UNHEARD else []

    def _too_old(self, worker: Worker) -> list[str]:
        found = []
        for at, age, text in worker.tally.old:
            since = at - age - HEARD
            down = sum(
                max(0.0, min(at, window.end + GRACE) - max(since, window.begin))
                for window in self.windows
                if window.outage
            )
            if age > HEARD + down:
                found.append(f"{worker.name}: {text}, not right any more for {age:.1f} s, at {at - self.began:.0f} s")
        return found
