"""A record: what the directory said about one key, for all maps that the same searches answer.

It is made at once, stored at once, and ages, is replaced and is forgotten as one, so that two of its maps never
contradict each other. There may be a million records, so a record is small: a value found is kept as bytes, "not found"
is the same object everywhere, and a reply is made ready for the wire when a client first asks for it (``Answer``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vmaild.cache.counters import Tally
from vmaild.errors import DataError
from vmaild.lookup import NOT_FOUND, Reply, Status, found, temporary

NEVER = float("-inf")

Known = bytes | Reply | DataError | None
"""What a record knows for one map: the value found; ``NOT_FOUND`` or ``NODATA``; data that must not be used; or None:
further searches are needed, or the directory's word could not be taken for it."""


class Record:
    """``known`` has a place for each map of the group. Times are in seconds of the cache's clock.

    Up to ``refresh_at`` it serves without a search; from ``expires_at`` on it is stale, and up to ``retry_at`` the
    directory, which failed, is not asked for it. ``positive``: an entry was found, for one of the maps at least.
    ``more`` is the lookup that goes on for a map whose place is None.
    """

    __slots__ = ("expires_at", "key", "known", "more", "positive", "refresh_at", "retry_at")

    def __init__(self, key: bytes, known: Sequence[Known], more: Any, refresh_at: float, expires_at: float) -> None:
        self.key = key
        self.known = tuple(known)
        self.more = more
        self.positive = any(one is not NOT_FOUND and one is not None for one in known)
        self.refresh_at = refresh_at
        self.expires_at = expires_at
        self.retry_at = NEVER

    def without(self, index: int) -> Record:
        """A record that no longer knows what the map at the place ``index`` has."""
        known = [None if place == index else one for place, one in enumerate(self.known)]
        return Record(self.key, known, self.more, self.refresh_at, self.expires_at)

    def retire(self) -> None:
        """Serve no longer, wherever the record is still held."""
        self.refresh_at = self.expires_at = self.retry_at = NEVER

    @property
    def retired(self) -> bool:
        """Whether the record has left the cache."""
        return self.expires_at == NEVER


class Answer:
    """One map's answer of a record, ready for the wire. Whoever gives it adds one to ``tally.hits``."""

    __slots__ = ("record", "tally", "wire")

    def __init__(self, record: Record, wire: bytes, tally: Tally) -> None:
        self.record = record
        self.wire = wire
        self.tally = tally


def known_of(reply: Reply) -> Known:
    """What a record keeps of an authoritative reply."""
    return reply.text if reply.status is Status.FOUND else reply


def reply_of(known: bytes | Reply | DataError) -> Reply:
    """The reply that a record's knowledge makes."""
    if isinstance(known, bytes):
        return found(known)
    return known if isinstance(known, Reply) else temporary(known.reason)
