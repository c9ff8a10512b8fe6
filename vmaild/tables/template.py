"""%-templates of ldap_table(5): ``%s %u %d %S %U %D %1 .. %9 %%``.

In a query template (search_base, query_filter) the value is the lookup key itself, and ``%S %U %D`` are the same
as ``%s %u %d``. In a result template (result_format) ``%s %u %d`` are of the value found, ``%S %U %D %1..%9`` of
the key. ``%1`` is the last label of the key's domain.

An expansion that needs a part which is not there (no domain for ``%d``, an empty localpart for ``%u``, too few
labels) is no error: there is nothing to look up, or nothing to return (Postfix's db_common.c).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from operator import attrgetter, methodcaller
from typing import NamedTuple

_PART = re.compile(r"%(.?)", re.DOTALL)
_OF_VALUE = "sud"
_OF_KEY = "SUD123456789"


class Parts(NamedTuple):
    """An address or other text, cut into what the templates name."""

    text: str
    localpart: str
    domain: str  # empty when there is none

    @classmethod
    def of(cls, text: str) -> Parts:
        """Cut at the last ``@``; text without one is all localpart."""
        localpart, at, domain = text.rpartition("@")
        return cls(text, localpart, domain) if at else cls(text, text, "")

    def label(self, number: int) -> str:
        """The domain's label ``number``, where 1 is the last; empty when it or one behind it is not there."""
        last = self.domain.rsplit(".", number)[-number:] if self.domain.count(".") >= number - 1 else [""]
        return last[0] if all(last) else ""


_GET: dict[str, Callable[[Parts], str]] = {
    "s": attrgetter("text"),
    "u": attrgetter("localpart"),
    "d": attrgetter("domain"),
    **{str(number): methodcaller("label", number) for number in range(1, 10)},
}


class Template:
    """A parsed template. Raises ValueError when the text has a ``%`` that ldap_table(5) does not know."""

    def __init__(self, text: str) -> None:
        self.text = text
        pieces = _PART.split(text)
        letters = pieces[1::2]
        if unknown := [f"%{letter}" for letter in letters if not letter or letter not in f"{_OF_VALUE}{_OF_KEY}%"]:
            raise ValueError(f"unknown {', '.join(unknown)}")
        self._pieces: list[tuple[Callable[[Parts], str] | None, bool, str]] = []
        """How to get what is inserted, and whether from the value; or the text that stands there anyway."""
        for number, piece in enumerate(pieces):
            if number % 2 and piece != "%":
                self._pieces.append((_GET[piece.lower()], piece in _OF_VALUE, ""))
            elif piece:
                self._pieces.append((None, False, piece))
        inserts = [number for number, (get, _, _) in enumerate(self._pieces) if get]
        self._single = self._around(inserts[0]) if len(inserts) == 1 else None
        self.of_key = tuple(_GET[letter.lower()] for letter in letters if letter in _OF_KEY)
        """How to get what a result template takes from the key."""
        self.dynamic = any(get for get, _, _ in self._pieces)
        """Whether the text depends on the key."""

    def __repr__(self) -> str:
        return f"Template({self.text!r})"

    def answers(self, key: Parts) -> bool:
        """Whether a result template finds the parts of the key that it needs (``%S %U %D %1..%9``)."""
        return not self.of_key or all(get(key) for get in self.of_key)

    def expand_query(self, key: Parts, quote: Callable[[str], str] = str) -> str | None:
        """The text for ``key``, each inserted part through ``quote``; None when the key lacks a part."""
        return self._expand(key, key, quote)

    def expand_result(self, value: Parts, key: Parts) -> str | None:
        """The text for a value found for ``key``; None when either lacks a part or the value is empty."""
        return self._expand(value, key, str)

    def _around(self, at: int) -> tuple[Callable[[Parts], str], bool, str, str]:
        """What the only insert is, and the text before and behind it: most templates are of this kind."""
        get, of_value, _ = self._pieces[at]
        assert get is not None
        before, behind = ("".join(text for _, _, text in part) for part in (self._pieces[:at], self._pieces[at + 1 :]))
        return get, of_value, before, behind

    def _expand(self, value: Parts, key: Parts, quote: Callable[[str], str]) -> str | None:
        if self._single is not None:
            only, of_value, before, behind = self._single
            part = only(value if of_value else key)
            return f"{before}{quote(part)}{behind}" if part else None
        out = []
        for get, of_value, text in self._pieces:
            if get is not None:
                part = get(value if of_value else key)
                if not part:
                    return None
                text = quote(part)
            out.append(text)
        return "".join(out)
