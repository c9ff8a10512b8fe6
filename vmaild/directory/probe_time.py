"""Which servers are slow: pure, handed the seconds that probes took.

Servers are compared by probes, never by lookups. A probe is the same read of one entry on each server, some twice a
second, so that the difference is the server's: its queue, its machine, the way to it. A lookup that takes long may be
the search's own fault (an attribute without an index, a large group), and would take as long elsewhere; and of a
server that is not in use there are no lookups to compare with.

- A server is *slow* when the median of its last ``KEPT`` probes is past ``slow_after``, and ``RATIO`` times that of
  another server which could take its lookups: up, not behind, probed lately. With all of them slow, none is.
- It is slow no more when the median has been at most half of ``slow_after`` for as long as ``hold``:
  ``failback_after`` at first, and twice as long each time that it is slow again soon. So a server that is slow only
  while lookups go there does not get them back each quarter of a minute.

``failover`` decides what follows: lookups leave a slow server for one that is quick.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median

KEPT = 5
"""Probes of which the median is taken: two that met a pause of the server, or of vmaild, decide nothing."""

FEWEST = 3
"""Probes before lookups may go to a server for its being quick."""

RATIO = 4.0
"""What a change of server is worth: it ends a stream of changes and begins another, and trust in "not found" anew."""

LATELY = 3.0
"""Seconds after which a probe says nothing of a server any more: it may hang by now."""

SHORTEST_HOLD = 5.0
"""Seconds, where ``failback_after`` is shorter."""

LONGEST_HOLD = 900.0
"""Seconds: an hour's trouble that is over costs so much at most."""

SOON = 4.0
"""A server that is slow again within so many times its last hold is held for twice as long."""

NEVER = float("-inf")


@dataclass(slots=True)
class ProbeTime:
    """One server's. Times are by the clock of the caller."""

    slow: bool = False
    relapses: int = 0
    """How often in a row it was slow again soon."""
    hold: float = 0.0
    probed_at: float = NEVER
    fine_since: float = NEVER
    """While it is slow: since when its probes are quick again."""
    quick_at: float = NEVER
    """When it was last found to be slow no more."""
    _seconds: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT))

    @property
    def seconds(self) -> float | None:
        """What a probe takes, None when that is not known."""
        return median(self._seconds) if len(self._seconds) >= FEWEST else None

    def observe(self, seconds: float, now: float) -> None:
        """A probe was answered, or given up, after so long."""
        self._seconds.append(seconds)
        self.probed_at = now

    def forget(self) -> None:
        """The server was down: what was before says nothing."""
        self._seconds.clear()
        self.fine_since = NEVER

    def known(self, now: float) -> float | None:
        """``seconds`` where the server was probed lately."""
        return self.seconds if now - self.probed_at <= LATELY else None

    def quick(self, now: float) -> bool:
        """Whether lookups may leave a slow server for this one."""
        return not self.slow and self.known(now) is not None

    def judge(self, rival: float | None, now: float, slow_after: float, failback_after: float) -> bool:
        """Whether ``slow`` has changed, with ``rival`` the seconds of the quickest that could take the lookups."""
        known = self.known(now)
        if known is None:
            return False
        if not self.slow:
            enough = len(self._seconds) == KEPT
            if rival is None or not enough or known <= slow_after or known <= RATIO * rival:
                return False
            self._is_slow(now, max(failback_after, SHORTEST_HOLD))
            return True
        if known > slow_after / 2:
            self.fine_since = NEVER
        elif self.fine_since == NEVER:
            self.fine_since = now
        elif now - self.fine_since >= self.hold:
            self.slow = False
            self.quick_at = now
            return True
        return False

    def _is_slow(self, now: float, shortest: float) -> None:
        self.relapses = self.relapses + 1 if now - self.quick_at < SOON * self.hold else 0
        # The exponent is bounded because this may go on for days, and floats do not.
        self.hold = min(max(LONGEST_HOLD, shortest), shortest * 2.0 ** min(self.relapses, 16))
        self.slow = True
        self.fine_since = NEVER


def compare(
    times: Sequence[ProbeTime], usable: Sequence[bool], now: float, slow_after: float, failback_after: float
) -> Iterator[tuple[int, float | None]]:
    """The servers for which ``slow`` has changed, each with the seconds of the quickest other one.

    ``usable``: which of them could take lookups, up and not behind.
    """
    known = [time.known(now) if can else None for time, can in zip(times, usable, strict=True)]
    for index, time in enumerate(times):
        rival = min((one for other, one in enumerate(known) if one is not None and other != index), default=None)
        if time.judge(rival, now, slow_after, failback_after):
            yield index, rival
