"""The requests that came lately, as they came, each with its answer: what the hot path looks up.

A request's bytes are looked up as they are, whatever the protocol and the letter case, by one get of a plain dict. An
answer whose record is out of date or has left the cache no longer serves (``Record.refresh_at``), so nothing needs to
be taken out here when that happens; what is kept alive by it is bounded in bytes.
"""

from __future__ import annotations

from collections.abc import Callable

from vmaild.cache import Answer

MAX_BYTES = 16 * 1024 * 1024
"""Of one listener. Past it all are forgotten, and remembered again as they come: some 60,000 requests."""

MAX_SIZE = 1024
"""Bytes of a request with its reply that are remembered. An address in SMTP has at most 320."""

OVERHEAD = 200
"""Bytes beside those of request and reply: two objects, and their share of the dict."""


class Recent:
    """The recent requests of one listener."""

    def __init__(self) -> None:
        self._answers: dict[bytes, Answer] = {}
        self._bytes = 0
        self.get: Callable[[bytes], Answer | None] = self._answers.get
        """The answer to a request that came lately."""

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
        if self._bytes > MAX_BYTES:
            self.clear()
            self._bytes = size + OVERHEAD
        self._answers[data] = answer

    def clear(self) -> None:
        """Forget all."""
        self._answers.clear()
        self._bytes = 0
