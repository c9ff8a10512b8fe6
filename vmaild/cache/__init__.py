"""What is known of the directory, how fresh it is, and one search at a time for the same key.

An answer has three ages (the model is RFC 8767):

=========  ==================================================================================================
fresh      answered at once
prefetch   the last tenth of its life: answered at once, and one search in the background renews it
stale      expired: a search is made, and the answer serves only if the directory fails or has not answered
           within ``stale_answer_after``; then for ``failure_recheck`` at once, without a search
=========  ==================================================================================================

A stale answer that an entry stands behind serves for ``stale_ttl``. A stale "not found" serves for
``negative_ttl`` at most, then the lookup fails: to bounce mail on the word of a directory that is down is worse
than to keep it. Only what the directory said is stored, never a failure.
"""

from vmaild.cache.answer import Answer
from vmaild.cache.cache import Cache
from vmaild.cache.counters import CacheCounters, Tally
from vmaild.cache.settings import CacheSettings

__all__ = ["Answer", "Cache", "CacheCounters", "CacheSettings", "Tally"]
