"""The requests that came lately, as they came, each with its answer: what the hot path looks up.

A request's bytes are looked up as they are, whatever the protocol and the letter case, by one get of a plain dict. An
answer whose record is out of date or has left the cache no longer serves (``Answer.refresh_at``), so nothing needs to
be taken out here when that happens. What is kept is bounded in bytes; a record that has left the cache is
empty.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from vmaild.cache import Answer

RECENT_SIZE = 16 * 1024 * 1024
"""Bytes, unless another number is given."""

MAX_SIZE = 1024
"""Bytes of a request with its reply that are remembered. An address in SMTP has at most 320."""

OVERHEAD = 300
"""Bytes beside those of request and reply: their headers, two objects, their share of the dict, and an empty record."""

SLICE = 1000
"""Answers forgotten in a turn of the loop: less than a millisecond."""


class Recent:
    """The recent requests of one listener."""

    def __init__(self, max_size: int = RECENT_SIZE) -> None:
        self.max_size = max_size
        """Most bytes. Past that all are forgotten, and remembered again as they arrive."""
        self._answers: dict[bytes, Answer] = {}
        self._bytes = 0
        self.get: Callable[[bytes], Answer | None] = self._answers.get
        """The answer to a request that came lately."""

    @property
    def size(self) -> int:
        """Bytes of what is remembered."""
        return self._bytes

    def remember(self, data: bytes, answer: Answer) -> None:
        """Find ``answer`` for ``data`` from now on."""
        size = len(data) + len(answer.wire)
        if size > MAX_SIZE:
            return
        before = self._answers.get(data)
        if before is None:
            self._bytes += size + OVERHEAD
        else:
            self._bytes += len(answer.wire) - len(before.wire)
        if self._bytes > self.max_size:
            self.clear()
            self._bytes = size + OVERHEAD
        self._answers[data] = answer.remembered()

    def clear(self) -> None:
        """Forget all, at once. What took memory is freed a part at a time."""
        # The hot path holds the dict's own get.
        doomed = self._answers.copy()
        self._answers.clear()
        self._bytes = 0
        _free(doomed)


def _free(doomed: dict[bytes, Answer]) -> None:
    for _ in range(min(SLICE, len(doomed))):
        doomed.popitem()[1].forgotten()
    if doomed:
        try:
            asyncio.get_running_loop().call_soon(_free, doomed)
        except RuntimeError:
            _free(doomed)
