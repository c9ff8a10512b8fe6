"""Which server serves: the order of the URIs, failover, and failback. Pure, handed the time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

GRACE = 0.25
"""Seconds that a server which lost all its connections, but has not failed since, stays the chosen one: slapd's
``idletimeout`` closes all at once, and they are back in milliseconds."""

NEVER = float("-inf")


@dataclass(slots=True)
class Standing:
    """How one server stands. Times are by the clock that the caller uses.

    ``up``: has a live connection. ``well_since``: since when it is up without a break; ``NEVER`` for one that had none
    yet. ``lost_at``: when it lost its last connection. ``failing``: a connect failed after that. ``behind``: its data
    is older than what was seen elsewhere; ``lacks``: if only by a change of this moment (``replica_state``).
    ``slow``: its probes take much longer than another's; ``quick``: they do not, and it was probed lately
    (``probe_time``); neither is known of a server that is new.
    """

    up: bool = False
    failing: bool = False
    well_since: float = NEVER
    lost_at: float = NEVER
    behind: bool = False
    lacks: bool = False
    slow: bool = False
    quick: bool = False

    def went_up(self, now: float) -> None:
        """A new connection is there."""
        if not self.up and (self.failing or self.lost_at != NEVER):
            self.well_since = now
        self.up = True
        self.failing = False

    def lost(self, now: float) -> None:
        """The last live connection is gone."""
        self.up = False
        self.lost_at = now

    def failed(self) -> None:
        """It could not be reached, or is taken out."""
        self.failing = True

    def returning(self, now: float) -> bool:
        """Without a connection, but likely to have one in a moment."""
        return not self.up and not self.failing and now - self.lost_at < GRACE


def choose(standings: Sequence[Standing], current: int | None, now: float, failback_after: float) -> int | None:
    """The index of the server to use now, None when there is none.

    The current one is kept as long as it is up or returning; a preferred one takes over again after
    ``failback_after`` seconds without a failure. One that is behind serves only while no other is up that is not; of
    the others one that is slow only while none is quick.
    """
    another = any(standing.up and not standing.behind for standing in standings)
    quick = any(standing.up and not standing.behind and standing.quick for standing in standings)
    good = [not (standing.behind and another) and not (standing.slow and quick) for standing in standings]
    if current is not None:
        serving = standings[current]
        for index in range(current):
            standing = standings[index]
            if _may_return(standing, serving) and now - standing.well_since >= failback_after:
                return index
        if serving.up or serving.returning(now):
            if good[current]:
                return current
            if not (serving.behind and another):
                # It is slow, and no more than that: there is time to wait for one that is sure to be better.
                return next((index for index, one in enumerate(standings) if good[index] and _relieves(one)), current)
    return next((index for index, standing in enumerate(standings) if standing.up and good[index]), None)


def _may_return(preferred: Standing, current: Standing) -> bool:
    """Whether lookups may go back to ``preferred``, given time.

    One that is behind or slow does not get them back; where all are, they stay where they are. Nobody needs this
    change: so it is made when no answer goes back in time by it, and from a server that answers probes only to another
    that does.
    """
    well = preferred.up and not preferred.behind and not preferred.lacks and not preferred.slow
    return well and (preferred.quick or not current.quick)


def _relieves(standing: Standing) -> bool:
    """Whether lookups may leave a slow server for this one."""
    return standing.up and standing.quick and not standing.lacks


def hopeless(standings: Sequence[Standing]) -> bool:
    """True when every server has failed and none is up: lookups fail at once then."""
    return all(standing.failing and not standing.up for standing in standings)


def next_change(standings: Sequence[Standing], current: int | None, now: float, failback_after: float) -> float | None:
    """Seconds after which ``choose`` may say something else by time alone, None when it will not."""
    if current is None:
        return None
    # The others wait for a probe that finds them better, not for time alone.
    waiting = [standing for standing in standings[:current] if _may_return(standing, standings[current])]
    pauses = [failback_after - (now - standing.well_since) for standing in waiting]
    if standings[current].returning(now):
        pauses.append(GRACE - (now - standings[current].lost_at))
    return max(0.0, min(pauses)) if pauses else None
