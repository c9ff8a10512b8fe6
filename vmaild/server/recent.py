"""The requests that came lately, as they came, each with its answer.

A request's bytes are looked up here as they are, whatever the protocol and the letter case, by one get of a plain dict.
Only one that did not come lately is made into what the cache is keyed by. An answer that leaves the cache or is out
of date no longer serves (``Answer.refresh_at``), so the cache needs to take nothing out here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from vmaild.cache import Answer
from vmaild.wire import netstring, tcp_table

# Requests remembered by a listener, of up to 180 bytes each. Past it all are forgotten, and remembered again as they
# come.
MAX_RECENT = 65_536
# Requests with more bytes are not looked for. An address in SMTP has at most 320.
MAX_SIZE = 1024

_GET = b"get "
_NEWLINE = b"\n"


class Recent(ABC):
    """The recent requests of one listener. ``known`` is that of the cache."""

    def __init__(self, known: Callable[[bytes], Answer | None]) -> None:
        self._known = known
        self._answers: dict[bytes, Answer] = {}
        self.get: Callable[[bytes], Answer | None] = self._answers.get
        """The answer to a request that came lately."""

    def recall(self, data: bytes) -> Answer | None:
        """The answer in the cache to a request that did not; None for what is not exactly one request."""
        answer = self._find(data) if len(data) < MAX_SIZE else None
        if answer is not None:
            if len(self._answers) >= MAX_RECENT:
                self._answers.clear()
            self._answers[data] = answer
        return answer

    def forget(self, data: bytes) -> None:
        """Recall the answer anew the next time: this one no longer serves, and another may have come instead."""
        self._answers.pop(data, None)

    @abstractmethod
    def _find(self, data: bytes) -> Answer | None:
        """The answer in the cache to ``data``."""


class RecentNetstrings(Recent):
    """For socketmap, by whose requests the cache is keyed: what is there is a whole netstring."""

    def _find(self, data: bytes) -> Answer | None:
        # What a netstring has beside its payload has no letter case.
        return self._known(data.lower())


class RecentLines(Recent):
    """For a tcp_table listener, which serves one map."""

    def __init__(self, known: Callable[[bytes], Answer | None], map_name: bytes) -> None:
        super().__init__(known)
        self.map_name = map_name
        self._prefix = map_name.lower() + b" "

    def _find(self, data: bytes) -> Answer | None:
        if not (data.startswith(_GET) and data.endswith(_NEWLINE)):
            return None
        key = data[len(_GET) : -1]
        # A key that is quoted, or that should be, is for the codec.
        if not tcp_table.is_plain(key):
            return None
        answer = self._known(netstring.encode(self._prefix + key.lower()))
        if answer is not None:
            answer.line()
        return answer
