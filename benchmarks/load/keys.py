"""Which key is asked next: popular ones, cold ones, unknown ones, in an order that a seed decides.

The keys of a run are split once: ``hot`` keys are asked again and again, uniformly or by Zipf's law; ``cold`` keys
are asked once each, so that each is a miss; unknown keys are made up, each asked once, from the domains of the known
ones. Nothing here reads a clock or a file.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Mix:
    """Shares of the keys: ``unknown`` and ``cold`` from 0 to 1; ``zipf`` is the exponent, 0 for uniform."""

    unknown: float = 0.0
    cold: float = 0.0
    zipf: float = 0.0

    def __post_init__(self) -> None:
        if min(self.unknown, self.cold) < 0 or self.unknown + self.cold > 1:
            raise ValueError("the shares of unknown and cold keys must be 0 or more, and at most 1 together")
        if self.zipf < 0:
            raise ValueError("the exponent of Zipf's law must be 0 or more")


def split(keys: Sequence[T], mix: Mix, hot: int = 0) -> tuple[Sequence[T], Sequence[T]]:
    """(hot, cold) keys: the first ``hot`` ones and the rest.

    Without ``hot``, half of them when both kinds are asked for, else all of the kind that is.
    """
    if not mix.cold:
        return keys[: hot or len(keys)], keys[:0]
    if not hot:
        hot = 0 if mix.cold + mix.unknown >= 1 else len(keys) // 2
    return keys[:hot], keys[hot:]


def unknown_key(known: Sequence[bytes], number: int, seed: int) -> bytes:
    """An address that nobody has, in the domain of one of the known keys; the same for the same arguments."""
    like = known[number % len(known)] if known else b"@unknown.example"
    domain = like.rpartition(b"@")[2]
    return b"no-such-user-%x-%x@%s" % (seed, number, domain)


class KeyStream(Generic[T]):
    """An endless sequence of keys, or of whatever stands for them.

    ``unknown`` makes the n-th unknown key. ``reused`` counts cold keys that were asked again because there were too
    few: those were no misses.
    """

    def __init__(self, hot: Sequence[T], cold: Sequence[T], unknown: Callable[[int], T], mix: Mix, seed: int) -> None:
        if not hot and mix.cold + mix.unknown < 1:
            raise ValueError("there are no keys to ask for")
        if mix.cold and not cold:
            raise ValueError("there are no cold keys: give more keys, or fewer hot ones")
        self._hot = hot
        self._cold = cold
        self._unknown = unknown
        self._random = random.Random(seed)
        self._below_unknown = mix.unknown
        self._below_cold = mix.unknown + mix.cold
        self._weights = list(zipf_weights(len(hot), mix.zipf)) if mix.zipf else []
        # Zipf ranks are dealt out at random, or else the popular keys would be those of the file's first domain.
        self._ranked = self._random.sample(range(len(hot)), len(hot)) if mix.zipf else []
        self._cold_asked = 0
        self._unknown_asked = 0

    @property
    def reused(self) -> int:
        """How many cold keys were asked a second time."""
        return max(0, self._cold_asked - len(self._cold))

    def next(self) -> T:
        """The next key."""
        draw = self._random.random
        if self._below_cold:
            kind = draw()
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


def zipf_weights(count: int, exponent: float) -> accumulate[float]:
    """Running sums of 1 / rank**exponent: what the ranks up to each one weigh together."""
    return accumulate(1.0 / rank**exponent for rank in range(1, count + 1))
