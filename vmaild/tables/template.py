"""%-templates of ldap_table(5): ``%s %u %d %S %U %D %1 .. %9 %%``.

In a query template (search_base, query_filter) the value is the lookup key itself, and ``%S %U %D`` are the same
as ``%s %u %d``. In a result template (result_format) ``%s %u %d`` are of the value found, ``%S %U %D %1..%9`` of
the key. ``%1`` is the last label of the key's domain.

An expansion that needs a part which is not there (no domain for ``%d``, an empty localpart for ``%u``, too few
labels) is no error: there is nothing to look up, or nothing to return (Postfix's db_common.c).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from operator import attrgetter, methodcaller
from typing import NamedTuple

_PART = re.compile(r"%(.?)", re.DOTALL)
_OF_VALUE = "sud"
_OF_KEY = "SUD123456789"

PLAIN = "%s"
"""The template that is what is inserted."""


class Parts(NamedTuple):
    """An address or other text, cut into what the templates name.

    ``extension`` is what was cut off an address to make this search key of it, with its delimiter.
    """

    text: str
    localpart: str
    domain: str  # empty when there is none
    extension: str = ""

    @classmethod
    def of(cls, text: str) -> Parts:
        """Cut at the last ``@``; text without one is all localpart."""
        localpart, at, domain = text.rpartition("@")
        return cls(text, localpart, domain) if at else cls(text, text, "")

    def label(self, number: int) -> str:
        """The domain's label ``number``, where 1 is the last; empty when there are fewer. Empty ones do not count."""
        labels = [label for label in self.domain.split(".") if label]
        return labels[-number] if number <= len(labels) else ""


Get = Callable[[Parts], str]

_GET: dict[str, Get] = {
    "s": attrgetter("text"),
    "u": attrgetter("localpart"),
    "d": attrgetter("domain"),
    **{str(number): methodcaller("label", number) for number in range(1, 10)},
}

WHOLE = frozenset(_GET[letter] for letter in _OF_VALUE)
"""How to get text, localpart and domain."""


class Template:
    """A parsed template. Raises ValueError when the text has a ``%`` that ldap_table(5) does not know."""

    def __init__(self, text: str) -> None:
        self.text = text
        pieces = _PART.split(text)
        letters = pieces[1::2]
        if unknown := [f"%{letter}" for letter in letters if not letter or letter not in f"{_OF_VALUE}{_OF_KEY}%"]:
            raise ValueError(f"unknown {', '.join(unknown)}")
        self._pieces: list[tuple[Get | None, bool, str]] = []
        """How to get what is inserted, and whether from the value; or the text that stands there anyway."""
        for number, piece in enumerate(pieces):
            if number % 2 and piece != "%":
                self._pieces.append((_GET[piece.lower()], piece in _OF_VALUE, ""))
            elif piece:
                self._pieces.append((None, False, piece))
        self.of_key = tuple(_GET[letter.lower()] for letter in letters if letter in _OF_KEY)
        """How to get what a result template takes from the key."""
        self.inserts = tuple(get for get, _, _ in self._pieces if get)
        """How to get each part that a query template inserts."""

    def __repr__(self) -> str:
        return f"Template({self.text!r})"

    @property
    def dynamic(self) -> bool:
        """Whether the text depends on the key."""
        return bool(self.inserts)

    @property
    def pieces(self) -> Iterator[Get | str]:
        """The text in its order: what is inserted, as the function that gets it, and what stands there anyway."""
        return (get or text for get, _, text in self._pieces)

    def answers(self, key: Parts) -> bool:
        """Whether a result template finds the parts of the key that it needs (``%S %U %D %1..%9``)."""
        return not self.of_key or all(get(key) for get in self.of_key)

    def expand_query(self, key: Parts) -> str | None:
        """The text for ``key``; None when the key lacks a part."""
        return self.expand_result(key, key)

    def expand_result(self, value: Parts, key: Parts) -> str | None:
        """The text for a value found for ``key``; None when either lacks a part or the value is empty."""
        out = []
        for get, of_value, text in self._pieces:
            if get is not None:
                text = get(value if of_value else key)
                if not text:
                    return None
            out.append(text)
        return "".join(out)
