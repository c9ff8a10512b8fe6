"""Whether a key was pushed out a short while ago: 4 bytes for each, in place of the key."""

from __future__ import annotations

from array import array

SHARE = 64
"""The table takes at most this part of the bytes that there are for records."""


class Ghosts:
    """A table of fingerprints, larger than the cache has entries. A later key takes the place of an earlier one.

    A key that was not pushed out is taken for one that was in one of 4,000 million cases.
    """

    def __init__(self, entries: int, size: int) -> None:
        most = max(8, size // SHARE // 4)
        self._slots = 1 << max(0, min(2 * entries, most).bit_length() - 1)
        self.size = 4 * self._slots
        """Bytes of the table, which is made when it is first needed."""
        self.prints = array("I")
        """Empty until a key is pushed out."""

    def add(self, key: bytes) -> None:
        """``key`` is pushed out."""
        if not self.prints:
            self.prints = array("I", bytes(4 * self._slots))
        number = hash(key)
        self.prints[number & (self._slots - 1)] = (number >> 32 & 0xFFFFFFFF) | 1

    def take(self, key: bytes) -> bool:
        """Whether ``key`` was pushed out. It is back then."""
        if not self.prints:
            return False
        number = hash(key)
        slot = number & (self._slots - 1)
        if self.prints[slot] != (number >> 32 & 0xFFFFFFFF) | 1:
            return False
        self.prints[slot] = 0
        return True
