"""What the maps count: plain integers, read when someone asks for the metrics."""

from __future__ import annotations

from dataclasses import dataclass

from vmaild.lookup import Status


@dataclass(slots=True)
class MapCounters:
    """Replies of one map that were not answered from the cache, by kind, and what happened on the way."""

    found: int = 0
    not_found: int = 0
    temporary: int = 0
    permanent: int = 0
    data_errors: int = 0
    canary_refusals: int = 0
    """NOTFOUND answers that became TEMP because a canary was missing."""

    def count(self, status: Status) -> None:
        """Add one reply."""
        if status is Status.FOUND:
            self.found += 1
        elif status is Status.NOT_FOUND:
            self.not_found += 1
        elif status is Status.TEMPORARY:
            self.temporary += 1
        else:
            self.permanent += 1


@dataclass(slots=True)
class FlightCounters:
    """Lookups that failed without having been begun."""

    refused: int = 0
    """Too many waited, and these were of the client that had most."""
    refused_of_a_client: int = 0
    """Their client had too many."""
    too_late: int = 0
    """They had waited so long that less time was left than a search takes."""
