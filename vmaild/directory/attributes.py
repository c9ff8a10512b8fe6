"""What a search asks for, and what bonsai is to leave as it is.

bonsai makes numbers and truth values of attributes that are not named to it beforehand, and an attribute may come back
with options that nobody knows of (``maildrop;lang-de``, RFC 4512, 2.5). So such a description is remembered when it is
first seen, for all searches with the same attributes, and the search is made once more.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable

NO_ATTRIBUTES = "1.1"  # RFC 4511, 4.5.1.8

MOST_OPTIONED = 1000
"""Descriptions with options that are remembered for a set of attributes; the values of others are not known."""


class Attributes:
    """A set of attributes to ask for: ``asked`` as they are sent, ``raw`` whose values stay bytes, and lower-case
    ``names`` of the latter."""

    def __init__(self, wanted: tuple[str, ...]) -> None:
        self.asked = list(wanted) or [NO_ATTRIBUTES]
        self.raw = list(self.asked)
        self.names = {name.lower() for name in wanted}
        self._room = MOST_OPTIONED

    def learn(self, seen: Iterable[str]) -> bool:
        """Remember what is ``seen`` of these attributes with options; whether any of it is new."""
        new = [name for name in seen if name not in self.names and self._belongs(name)][: self._room]
        self._room -= len(new)
        self.raw += new
        self.names.update(new)
        return bool(new)

    def _belongs(self, name: str) -> bool:
        parts = name.split(";")
        return any(";".join(parts[:number]) in self.names for number in range(1, len(parts)))


@functools.lru_cache(maxsize=256)
def attributes(wanted: tuple[str, ...]) -> Attributes:
    """Those of the tuple. Maps ask for the same few sets again and again."""
    return Attributes(wanted)
