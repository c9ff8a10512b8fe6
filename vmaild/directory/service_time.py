"""How long a search takes at present: pure, handed the durations.

The mean and the mean deviation of what was seen, the latest most, as TCP estimates the time of a round trip (RFC 6298).
Only searches that were answered count: one that was given up says nothing of how long the next will take.
"""

from __future__ import annotations

from dataclasses import dataclass

MEAN_GAIN = 1 / 8
DEVIATION_GAIN = 1 / 4
DEVIATIONS = 2
"""A search that has the mean and so many deviations is answered in time nearly always."""

NOTABLE = 0.02
"""Seconds: all searches that take as long are observed, and of the shorter ones every ``ONE_IN``-th."""

ONE_IN = 4


@dataclass(slots=True)
class ServiceTime:
    """``seconds`` is what a search takes, 0 when nothing is known."""

    mean: float = 0.0
    deviation: float = 0.0
    seconds: float = 0.0

    def observe(self, seconds: float) -> None:
        """A search was answered after so long."""
        if self.seconds == 0.0:
            self.mean, self.deviation = seconds, seconds / 2
        else:
            self.deviation += DEVIATION_GAIN * (abs(seconds - self.mean) - self.deviation)
            self.mean += MEAN_GAIN * (seconds - self.mean)
        self.seconds = self.mean + DEVIATIONS * self.deviation
