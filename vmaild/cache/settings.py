"""The settings of ``[cache]``."""

from __future__ import annotations

from dataclasses import dataclass

# Answers are renewed in the last tenth of their life.
PREFETCH_SHARE = 0.1
# A life is shortened by up to a tenth, at random, so that ten thousand answers learnt together do not expire
# together.
JITTER_SHARE = 0.1
# By up to three quarters when more than BURST are learnt in a second, and more than twice as many as are on average:
# then the directory never gets more than twice the mean of searches when they are renewed.
BURST_JITTER_SHARE = 0.75
BURST = 100

MIB = 1024 * 1024
# A million bytes are some thousand records: less is a slip of the pen.
LEAST_MAX_SIZE = MIB

# Shares of max_size. What is remembered by raw request is made again from the records, so that it needs little; what
# is left is for records.
REQUESTS_SHARE = 0.125
# "Not found" has its share even when keys have 9,000 bytes, and no more.
NEGATIVE_SHARE = 0.25
# Answers by a catch-all or for an extension: anybody can make up addresses that have one. They may use what is free.
DERIVED_SHARE = 0.1
# Records that were asked for once go through a queue of this share (S3-FIFO); the others stay.
NEW_SHARE = 0.1
# The most that one record may take.
RECORD_SHARE = 0.0625


@dataclass(frozen=True, slots=True)
class CacheSettings:
    """How long answers live, in seconds, and how many there may be. All may be 0."""

    ttl: float = 300.0
    """Life of an answer that an entry stands behind."""
    negative_ttl: float = 30.0
    """Life of a "not found", and the longest that one may serve after that."""
    heard_ttl: float = 86400.0
    """Life of an answer that an entry stands behind, while the directory's changes are heard."""
    heard_negative_ttl: float = 86400.0
    """Life of a "not found" then."""
    stale_ttl: float = 86400.0
    """How long an expired answer may serve while the directory fails; 0 for not at all."""
    stale_domains: float = 86400.0
    """How long the set of hosted domains may serve while it cannot be read; 0 for not using such a set at all."""
    stale_answer_after: float = 1.8
    """How long the directory may take when an expired answer is at hand (RFC 8767, 5)."""
    failure_recheck: float = 5.0
    """How long the directory is not asked for a key again while an expired answer serves it."""
    max_size: int = 256 * MIB
    """Most bytes of memory for all records, and for what is remembered by raw request."""
    max_entries: int = 200_000
    """Most answers that an entry stands behind."""
    max_negative_entries: int = 50_000
    """Most "not found" answers. Their own bound, so that a flood of random addresses does not push out the others."""
