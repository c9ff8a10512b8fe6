"""Which key is asked next: popular ones, cold ones, unknown ones, in an order that a seed decides. Pure.

The keys of a run are split once: ``hot`` keys are asked again and again, uniformly or by Zipf's law; ``cold`` keys
are asked once each, so that each is a miss; unknown keys are made up, each asked once, from the domains of the known
ones.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")


class Mix(NamedTuple):
    """Shares of the keys: ``unknown`` and ``cold`` from 0 to 1; ``zipf`` is the exponent, 0 for uniform."""

    unknown: float = 0.0
    cold: float = 0.0
    zipf: float = 0.0


def split(keys: Sequence[T], mix: Mix, hot: int = 0) -> tuple[Sequence[T], Sequence[T]]:
    """(hot, cold) keys: the first ``hot`` ones and the rest.

    Without ``hot``, half of them when both kinds are asked for, else all of the kind that is.
    """
    if not mix.cold:
        return keys[: hot or len(keys)], keys[:0]
    hot = hot or (0 if mix.cold + mix.unknown >= 1 else len(keys) // 2)
    return keys[:hot], keys[hot:]


def unknown_key(known: Sequence[bytes], number: int, seed: int) -> bytes:
    """An address that nobody has, in the domain of one of the known keys; the same for the same arguments."""
    domain = known[number % len(known)].rpartition(b"@")[2]
    return b"no-such-user-%x-%x@%s" % (seed, number, domain)


class KeyStream(Generic[T]):
    """An endless sequence of keys, or of whatever stands for them; ``unknown`` makes the n-th unknown one.

    Raises ``ValueError`` for a mix that cannot be made.
    """

    def __init__(self, hot: Sequence[T], cold: Sequence[T], unknown: Callable[[int], T], mix: Mix, seed: int) -> None:
        if min(mix) < 0 or mix.unknown + mix.cold > 1:
            raise ValueError(
                "the shares of unknown and cold keys, and Zipf's exponent, are 0 or more; both shares at most 1"
            )
        if not hot and mix.cold + mix.unknown < 1:
            raise ValueError("there are no keys to ask for")
        if mix.cold and not cold:
            raise ValueError("there are no cold keys: give more keys, or fewer hot ones")
        self._hot, self._cold, self._unknown = hot, cold, unknown
        self._random = random.Random(seed)
        self._below_unknown = mix.unknown
        self._below_cold = mix.unknown + mix.cold
        self._weights = list(accumulate(rank**-mix.zipf for rank in range(1, len(hot) + 1))) if mix.zipf else []
        # Zipf ranks are dealt out at random, or else the popular keys would be those of the file's first domain.
        self._ranked = self._random.sample(range(len(hot)), len(hot)) if mix.zipf else []
        self._cold_asked = 0
        self._unknown_asked = 0

    @property
    def reused(self) -> int:
        """How many cold keys were asked a second time because there were too few: those were no misses."""
        return max(0, self._cold_asked - len(self._cold))

    def next(self) -> T:
        """The next key."""
        draw = self._random.random
        kind = draw() if self._below_cold else 1.0
        if kind < self._below_unknown:
            self._unknown_asked += 1
            return self._unknown(self._unknown_asked - 1)
        if kind < self._below_cold:
            self._cold_asked += 1
            return self._cold[(self._cold_asked - 1) % len(self._cold)]
        if self._weights:
            rank = bisect_right(self._weights, draw() * self._weights[-1], 0, len(self._weights) - 1)
            return self._hot[self._ranked[rank]]
        return self._hot[int(draw() * len(self._hot))]
