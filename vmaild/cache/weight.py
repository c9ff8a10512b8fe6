"""What a record weighs: the bytes of memory that are free again when it goes.

Not measured object by object, which would take longer than the lookup, but added up from lengths and constants. The
constants are of CPython 3.11 on 64 bits, rounded up to what its allocator hands out, and held against the resident
memory of a whole process by ``tests/cache/test_memory.py``.
"""

from __future__ import annotations

from vmaild.cache.record import Known, Record

PLACE = 48
"""A place in the dict of records; what the dict takes beside is counted as it is (``Room.measure``)."""

RECORD = 240
"""The object with its tuple (136), the key's header (40), its place in the dict and in a queue (8), rounding."""

VALUE = 56
"""The header of a value (33), its place in the tuple (8), rounding."""

REFUSAL = 700
"""An exception with its parts, beside its text."""

LARGE = 512
"""Bytes from which a value that many records have in common is kept once: a catch-all's may have 100,000, and there is
a record for each address that somebody made up. For a shorter one it is not worth it."""


UNKNOWN, UNUSABLE, POSITIVE = 1, 2, 4
"""What there is among the answers of a record: "not found", data that must not be used, an entry."""


class LargeValues:
    """The large values that there are, each once, with how many records have it."""

    def __init__(self) -> None:
        self._values: dict[bytes, tuple[bytes, int, int]] = {}

    def take(self, record: Record, queue: int) -> int:
        """Let ``record`` share its large values. Returns how many bytes of them others had brought before.

        ``queue`` is whom they are charged to.
        """
        known: list[Known] = []
        before = 0
        for one in record.known:
            if type(one) is bytes and len(one) >= LARGE:
                one, count, payer = self._values.get(one, (one, 0, queue))
                self._values[one] = (one, count + 1, payer)
                before += len(one) if count else 0
            known.append(one)
        record.known = tuple(known)
        return before

    def give_back(self, record: Record) -> tuple[int, list[tuple[int, int]]]:
        """``record`` goes. Returns the bytes of its large values, and those that go with it by who paid for them."""
        total, freed = 0, []
        for one in record.known:
            if type(one) is bytes and len(one) >= LARGE:
                total += len(one)
                value, count, payer = self._values[one]
                if count > 1:
                    self._values[value] = (value, count - 1, payer)
                else:
                    del self._values[value]
                    freed.append((payer, len(value)))
        return total, freed
