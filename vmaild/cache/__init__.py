"""What is known of the directory, and how fresh it is.

A record has three ages (the model is RFC 8767):

=========  ==================================================================================================
fresh      answered at once
prefetch   the last tenth of its life: answered at once, and one search in the background renews it
stale      expired: a search is made, and the record serves only if the directory fails or has not answered
           within ``stale_answer_after``; then for ``failure_recheck`` at once, without a search
=========  ==================================================================================================

What was found, and NODATA, serves stale for ``stale_ttl``; a "not found" for ``negative_ttl`` at most, then the lookup
fails: to bounce mail on the word of a directory that is down is worse than to keep it. Only what the directory said is
stored, never a failure to ask it; data that must not be used is remembered as that, for ``failure_recheck``.

In the order of reading: ``record``, ``store``, ``cache``; then what makes room: ``room``, with ``weight`` and
``ghosts``; ``sweep``, by which many records are forgotten; and ``resident``, which holds all of it against the memory
that the process really takes.
While the directory's changes arrive, lives are ``heard_ttl`` and ``heard_negative_ttl``; from when they arrive no
more they are capped (``cap``) to what they would be without, counted from when they were last heard.
``dependents`` knows which records a change concerns.
"""

from vmaild.cache.cache import Cache
from vmaild.cache.counters import CacheCounters, Tally
from vmaild.cache.dependents import Dependents
from vmaild.cache.record import NEVER, Answer, Known, Record, reply_of
from vmaild.cache.resident import ResidentBound
from vmaild.cache.settings import LEAST_MAX_SIZE, PREFETCH_SHARE, CacheSettings

__all__ = [
    "LEAST_MAX_SIZE",
    "NEVER",
    "PREFETCH_SHARE",
    "Answer",
    "Cache",
    "CacheCounters",
    "CacheSettings",
    "Dependents",
    "Known",
    "Record",
    "ResidentBound",
    "Tally",
    "reply_of",
]
