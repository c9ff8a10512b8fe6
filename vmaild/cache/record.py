"""A record: what the directory said about one key, for all maps that the same searches answer.

It is made at once, stored at once, and ages, is replaced and is forgotten as one, so that two of its maps never
contradict each other. There may be a million records, so a record is small: a value found is kept as bytes, "not
found" is the same object everywhere, and a reply is made ready for the wire when a client first asks for it
(``Answer``). A record that has left the cache keeps nothing of what it knew, also where something still refers to it.

The hot path looks at the answer alone: with ten thousand of them neither it nor its record is in the processor's cache,
and to fetch one was a fourth of what vmaild does there. So an answer that is remembered has the time up to which it
serves itself, and the record moves it (``Record.refresh_at``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vmaild.cache.counters import Tally
from vmaild.errors import DataError
from vmaild.lookup import NOT_FOUND, Reply, Status, temporary

NEVER = float("-inf")

Known = bytes | Reply | DataError | None
"""What a record knows for one map: the value found; ``NOT_FOUND`` or ``NODATA``; data that must not be used; or None:
further searches are needed, or the directory's word could not be taken for it."""

NEGATIVE, NEW, MAIN, DERIVED = range(4)
"""The queues of records (``vmaild.cache.room``). A record's ``marks`` hold the number of its queue in ``QUEUE``."""

QUEUE = 0b11
ASKED = 0b100
"""The mark of a record that was asked for again."""

GENERATION = 0b111000
GENERATION_SHIFT = 3
"""How many flushes the record has passed, modulo 8 (``vmaild.cache.sweep``)."""

PLACE_SHIFT = 6
PLACES = 0b11
"""Whose question brought the record: the place of that map, modulo 4. All marks fit into a byte, since small numbers
are objects that exist once; any other would take 32 bytes of each record."""


class Record:
    """``known`` has a place for each map of the group. Times are in seconds of the cache's clock.

    Up to ``refresh_at`` it serves without a search; from ``expires_at`` on it is stale, and up to ``retry_at`` the
    directory, which failed, is not asked for it. ``marks`` are for the store. ``lease`` is ``refresh_at``, or the
    answers that are remembered, each of which has it.
    """

    __slots__ = ("expires_at", "key", "known", "lease", "marks", "retry_at")

    lease: float | tuple[Answer, ...]

    more: Any = None
    """The lookup that goes on for a map whose place is None; only an ``UnfinishedRecord`` has one."""

    weight_of_more = 0

    def __init__(
        self, key: bytes, known: Sequence[Known], refresh_at: float, expires_at: float, _: None = None
    ) -> None:
        self.key = key
        self.known = tuple(known)
        self.lease = refresh_at
        self.expires_at = expires_at
        self.retry_at = NEVER
        self.marks = 0

    @property
    def refresh_at(self) -> float:
        """Up to when the record serves without a search, and so do its answers, wherever they are remembered."""
        lease = self.lease
        return lease[0].refresh_at if type(lease) is tuple else lease  # type: ignore[return-value]

    @refresh_at.setter
    def refresh_at(self, then: float) -> None:
        if type(self.lease) is tuple:
            for answer in self.lease:
                answer.refresh_at = then
        else:
            self.lease = then

    @property
    def positive(self) -> bool:
        """Whether an entry was found, for one of the maps at least."""
        for one in self.known:  # noqa: SIM110 - a generator takes twice the time
            if one is not NOT_FOUND and one is not None:
                return True
        return False

    def without(self, place: int) -> Record:
        """A record that no longer knows what the map at that place has: that is to be asked again."""
        known = [None if number == place else one for number, one in enumerate(self.known)]
        return Record(self.key, known, self.refresh_at, self.expires_at)

    def asked_by(self, place: int) -> None:
        """The map at that place is asked for a cached answer.

        One message asks several maps for an address within milliseconds. That is one use of it: only who asks for the
        map that was asked first comes a second time.
        """
        if self.marks >> PLACE_SHIFT == place & PLACES:
            self.marks |= ASKED

    def age(self, now: float) -> None:
        """Have the record renewed at its next use, which it still serves."""
        self.refresh_at = min(self.refresh_at, now)

    def retire(self) -> None:
        """Serve no longer, and hold nothing any more, wherever the record is still held."""
        self.refresh_at = self.expires_at = self.retry_at = self.lease = NEVER
        self.key, self.known = b"", ()

    @property
    def retired(self) -> bool:
        """Whether the record has left the cache."""
        return self.expires_at == NEVER


class UnfinishedRecord(Record):
    """A record with the lookup that goes on, whose ``weight`` are the bytes that it keeps."""

    __slots__ = ("more", "weight_of_more")

    def __init__(self, key: bytes, known: Sequence[Known], refresh_at: float, expires_at: float, more: Any) -> None:
        super().__init__(key, known, refresh_at, expires_at)
        self.more = more
        self.weight_of_more = getattr(more, "weight", 0)

    def retire(self) -> None:
        """As of any record."""
        super().retire()
        self.more = None


class Answer:
    """One map's answer of a record, ready for the wire. The caller that sends it adds one to ``tally.hits``.

    It serves up to ``refresh_at``; whoever keeps it calls ``remembered``, and ``forgotten`` in the end.
    """

    __slots__ = ("record", "refresh_at", "tally", "wire")

    def __init__(self, record: Record, wire: bytes, tally: Tally) -> None:
        self.record = record
        self.refresh_at = record.refresh_at
        self.wire = wire
        self.tally = tally

    def remembered(self) -> Answer:
        """This answer or one like it, which from now on serves no longer than its record.

        A record has few of them, one for each map and protocol, however many requests they answer.
        """
        record = self.record
        others = record.lease if type(record.lease) is tuple else ()
        for answer in others:
            if answer.tally is self.tally and answer.wire == self.wire:
                return answer
        self.refresh_at = record.refresh_at
        if not record.retired:
            record.lease = (*others, self)
        return self

    def forgotten(self) -> None:
        """Serve no longer: the record does not reach this answer any more."""
        record, refresh_at = self.record, self.refresh_at
        self.refresh_at = NEVER
        if type(record.lease) is tuple:
            record.lease = tuple(answer for answer in record.lease if answer is not self) or refresh_at


def reply_of(known: bytes | Reply | DataError) -> Reply:
    """The reply that a record's knowledge makes."""
    if type(known) is bytes:
        return Reply(Status.FOUND, known)
    return temporary(known.reason) if isinstance(known, DataError) else known  # type: ignore[return-value]
