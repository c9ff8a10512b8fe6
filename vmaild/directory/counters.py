"""What the directory layer counts: plain integers, read by the metrics when they are asked for."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Counters:
    """Events since the start, over all servers. ``Counter`` fields are by kind of failure (``failures.KINDS``).

    searches          lookups that asked the directory
    empty             ... and were answered with no entry
    too_large         ... and the answer was too large to be used
    failures          ... and failed, by kind
    retries           second tries after a broken connection or a server that hung
    failed_fast       lookups failed at once because no server was up
    waited            lookups that found no free connection and waited
    cancelled         lookups given up by the caller
    connects          connections made
    connect_failures  connections that could not be made, by kind
    lost              connections that ended by themselves or were found broken
    retired           connections closed for their age
    checks            checks that a server holds the search base
    check_failures    ... and it did not, or did not answer
    taken_out         servers taken out with connections still open: they hung, or lost the search base
    slowed            times that a server was found to be slow beside another
    failovers         changes to a less preferred server
    failbacks         changes to a more preferred one
    """

    searches: int = 0
    empty: int = 0
    too_large: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    retries: int = 0
    failed_fast: int = 0
    waited: int = 0
    cancelled: int = 0
    connects: int = 0
    connect_failures: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    retired: int = 0
    checks: int = 0
    check_failures: int = 0
    taken_out: int = 0
    slowed: int = 0
    failovers: int = 0
    failbacks: int = 0


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """One server at this moment.

    ``last_failure`` is a kind, empty when it never failed; ``last_error`` is the same in words, ``failed_ago`` how many
    seconds ago it was, and ``state_for`` for how many seconds the server has been up, or down, as it is now.
    ``behind``: its data is older than what was seen elsewhere. ``slow``: its probes take, or took a short while ago,
    much longer than another's. ``probe_seconds``: what a probe takes, None when that is not known.
    """

    uri: str
    up: bool
    current: bool
    connections: int
    in_use: int
    opening: int
    failures: int
    last_failure: str
    last_error: str = ""
    failed_ago: float | None = None
    state_for: float = 0.0
    behind: bool = False
    slow: bool = False
    probe_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class PoolStatus:
    """The directory at this moment. ``waiting`` counts lookups that wait for a connection."""

    servers: tuple[ServerStatus, ...]
    waiting: int
