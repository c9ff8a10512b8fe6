"""The settings of ``[cache]``."""

from __future__ import annotations

from dataclasses import dataclass

PREFETCH_SHARE = 0.1
"""Answers are renewed in the last tenth of their life."""
JITTER_SHARE = 0.1
"""A life is shortened by up to a tenth, at random, so that ten thousand answers stored together do not expire
together."""
# By up to three quarters when more than BURST are stored in a second, and more than twice as many as are on average:
# then the directory never gets more than twice the mean of searches when they are renewed.
BURST_JITTER_SHARE = 0.75
BURST = 100

MIB = 1024 * 1024
LEAST_MAX_SIZE = 8 * MIB
"""In less there would be no room for records beside what is noted of them (``vmaild.cache.dependents``)."""

REQUESTS_SHARE = 0.125
"""Shares of max_size. What is remembered by raw request is made again from the records, so that it needs little; what
is left is for records."""
NEGATIVE_SHARE = 0.25
"""What is "not found" has its share even when keys have 9,000 bytes, and no more."""
DERIVED_SHARE = 0.1
"""Answers by a catch-all or for an extension: anybody can make up such addresses. They may use what is free."""
NEW_SHARE = 0.1
"""Records that were asked for once go through a queue of this share (S3-FIFO); the others stay."""
RECORD_SHARE = 0.0625
"""The most that one record may take."""
LEAST_SHARE = 0.25
"""What records may use however much memory the process holds beside what is counted (``vmaild.cache.resident``)."""


@dataclass(frozen=True, slots=True)
class CacheSettings:
    """How long records live, in seconds, and how many there may be. The times may be 0.

    The string below a field is its text in vmaild.toml(5) (``python -m vmaild.manual``).
    """

    ttl: float = 300.0
    """Life of a record for which an entry was found; less up to a tenth at random, and up to three quarters when very
    many are stored in one second."""
    negative_ttl: float = 30.0
    """Life of a record that says "not found" for one of its maps, and the longest that "not found" serves after that
    while the directory fails."""
    heard_ttl: float = 86400.0
    """As ``ttl``, while the directory reports its changes, see vmaild-operations(7); where ``ttl`` is set and this is
    not, ``ttl``."""
    heard_negative_ttl: float = 86400.0
    """As ``negative_ttl``, while the directory reports its changes; where ``negative_ttl`` is set and this is not,
    ``negative_ttl``."""
    stale_ttl: float = 86400.0
    """How long an expired record may serve while the directory fails; 0 for not at all."""
    stale_domains: float = 86400.0
    """How long the set of hosted domains may serve while it cannot be read; 0 for no such set."""
    stale_answer_after: float = 1.8
    """How long the directory may take when an expired record is at hand, which then serves (RFC 8767, 5)."""
    failure_recheck: float = 5.0
    """How long the directory is not asked for a key again after a failure, and the life of a record whose entry must
    not be used."""
    max_size: int = 256 * MIB
    """Most bytes of memory for all records, and for the requests that are remembered. The process takes some 50 MB
    beside it, 3 kB for each client, and up to 24 MiB that allocators keep."""
    max_entries: int = 200_000
    """Most records for which an entry was found."""
    max_negative_entries: int = 50_000
    """Most other records. Their own bound, so that a flood of random addresses does not push out the others."""
