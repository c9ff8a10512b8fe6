"""Between what and what each number of the configuration must lie, in one table.

A number that is not finite, or so small or large that the daemon could not do its work with it, is refused by
``vmaild check``: ``ttl = inf`` would make every lookup fail, ``watchdog = 0.001`` end the process at once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from vmaild.cache import LEAST_MAX_SIZE

HOUR, DAY = 3600.0, 86400.0


@dataclass(frozen=True, slots=True)
class Range:
    """``low`` to ``high``, both allowed, in ``unit``; with ``or_zero`` 0 is allowed too, and means what it says."""

    low: float
    high: float
    unit: str = ""
    or_zero: str = ""

    def problem(self, value: float) -> str:
        """What is wrong with ``value``, with what to write instead; empty when nothing is."""
        if math.isfinite(value) and (self.low <= value <= self.high or (self.or_zero and value == 0)):
            return ""
        return f"must be {self.words}, not {value:g}"

    @property
    def words(self) -> str:
        """What is allowed: ``0 (never), or 1 to 3600 seconds``."""
        zero = f"0 ({self.or_zero}), or " if self.or_zero else ""
        unit = f" {self.unit}" if self.unit else ""
        return f"{zero}{_plain(self.low)} to {_plain(self.high)}{unit}"


def _plain(number: float) -> str:
    return f"{number:.0f}" if math.isfinite(number) and number == int(number) else f"{number:g}"


RANGES: Mapping[str, Mapping[str, Range]] = {
    "": {
        # Below a second a busy machine would look like a hang; Postfix waits for 100 s.
        "watchdog": Range(1, HOUR, "seconds", or_zero="never"),
        "drain_timeout": Range(0, HOUR, "seconds"),
        # The limit of descriptors lowers it further (vmaild.process.descriptors).
        "max_connections": Range(1, 1_000_000),
    },
    "directory": {
        "timeout": Range(0.01, HOUR, "seconds"),
        # Postfix gives up after 100 s.
        "lookup_timeout": Range(0.01, 90, "seconds"),
        "connect_timeout": Range(0.01, HOUR, "seconds"),
        "check_interval": Range(0.01, HOUR, "seconds"),
        "max_lifetime": Range(1, 30 * DAY, "seconds"),
        "failback_after": Range(0, DAY, "seconds"),
        # Less than a loaded machine takes now and then would move lookups for nothing.
        "slow_after": Range(0.02, HOUR, "seconds", or_zero="never"),
        "replica_grace": Range(0, 30 * DAY, "seconds"),
        "pool_size": Range(1, 256),
        "max_waiting": Range(1, 1_000_000),
        "max_waiting_per_client": Range(1, 1_000_000),
        # An entry of usual size, with an eye to the names of what it is a member of; libldap's own bound is 4 GiB.
        "max_answer": Range(65_536, 2**30, "bytes"),
        # A million take 0.2 s of the loop.
        "max_values": Range(100, 1_000_000),
    },
    "cache": {
        "ttl": Range(0, 30 * DAY, "seconds"),
        "negative_ttl": Range(0, DAY, "seconds"),
        "heard_ttl": Range(0, 30 * DAY, "seconds"),
        "heard_negative_ttl": Range(0, 30 * DAY, "seconds"),
        "stale_ttl": Range(0, 30 * DAY, "seconds"),
        "stale_domains": Range(0, 30 * DAY, "seconds"),
        "stale_answer_after": Range(0, HOUR, "seconds"),
        "failure_recheck": Range(0, HOUR, "seconds"),
        "max_size": Range(LEAST_MAX_SIZE, 2**40, "bytes"),
        "max_entries": Range(1, 100_000_000),
        "max_negative_entries": Range(1, 100_000_000),
    },
}
"""By table and key. A number of a settings class that has no range here fails a test."""
