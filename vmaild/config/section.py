"""One table of a TOML file, read key by key; what is wrong is noted, not raised, so that all is reported at once."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from vmaild.config.ranges import Range
from vmaild.process import escape

_T = TypeVar("_T")
_WORDS = re.compile(r"[\s,]+")


@dataclass(slots=True)
class Problems:
    """What is wrong with one configuration file, in the order found."""

    file: str
    found: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    """What works but should be mended."""

    def add(self, table: str, key: str, text: str) -> None:
        """Note a problem with ``key`` of ``table``; an empty table is the top of the file."""
        self.found.append(self._line(table, key, text))

    def warn(self, table: str, key: str, text: str) -> None:
        """Note a warning about ``key`` of ``table``."""
        self.warnings.append(self._line(table, key, text))

    def _line(self, table: str, key: str, text: str) -> str:
        where = " ".join(part for part in (f"[{table}]" if table else "", key) if part)
        # Names and values of the file may hold anything.
        return escape(f"{self.file}: {where}: {text}" if where else f"{self.file}: {text}")


class Section:
    """A table of the file. Each reader returns None for a key that is absent or wrong."""

    def __init__(self, values: object, name: str, problems: Problems) -> None:
        self.name = name
        self.problems = problems
        if isinstance(values, Mapping):
            self.values: Mapping[str, Any] = values
        else:
            self.values = {}
            problems.add("", name, f"must be a table, not {_kind(values)}")

    def problem(self, key: str, text: str) -> None:
        """Note what is wrong with ``key``."""
        self.problems.add(self.name, key, text)

    def warn(self, key: str, text: str) -> None:
        """Note what works with ``key`` but should be mended."""
        self.problems.warn(self.name, key, text)

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def string(self, key: str) -> str | None:
        """A string."""
        return self._typed(key, str, "a string")

    def flag(self, key: str) -> bool | None:
        """A boolean."""
        return self._typed(key, bool, "true or false")

    def integer(self, key: str) -> int | None:
        """A whole number."""
        value = self.values.get(key)
        if isinstance(value, bool):
            self.problem(key, "must be a whole number, not a boolean")
            return None
        return self._typed(key, int, "a whole number")

    def number(self, key: str) -> float | None:
        """A number, whole or not. Whether it is finite, and sane, is for ``within`` to say."""
        value = self.values.get(key)
        if isinstance(value, int) and not isinstance(value, bool):
            try:
                return float(value)
            except OverflowError:
                return math.inf
        return self._typed(key, float, "a number")

    def strings(self, key: str) -> tuple[str, ...] | None:
        """A list of strings; one string stands for a list of one."""
        value = self.values.get(key)
        if value is None:
            return None
        listed = [value] if isinstance(value, str) else value
        if not isinstance(listed, list) or not all(isinstance(item, str) for item in listed):
            self.problem(key, f"must be a string or a list of strings, not {_kind(value)}")
            return None
        return tuple(listed)

    def names(self, key: str) -> tuple[str | int, ...] | None:
        """A list of names or numbers; one of them stands for a list of one."""
        value = self.values.get(key)
        if value is None:
            return None
        listed = value if isinstance(value, list) else [value]
        if not all(isinstance(item, str | int) and not isinstance(item, bool) for item in listed):
            self.problem(key, f"must be names or numbers, not {_kind(value)}")
            return None
        return tuple(listed)

    def words(self, key: str) -> tuple[str, ...] | None:
        """Names, as a list or, as Postfix writes them, in one string with commas or spaces."""
        listed = self.strings(key)
        if listed is None or not isinstance(self.values[key], str):
            return listed
        return tuple(word for word in _WORDS.split(listed[0]) if word)

    def choice(self, key: str, allowed: Iterable[str]) -> str | None:
        """One of ``allowed``."""
        value = self.string(key)
        names = list(allowed)
        if value is None or value in names:
            return value
        self.problem(key, f"must be one of {', '.join(names)}, not {value!r}{did_you_mean(value, names)}")
        return None

    def fields(self, kind: type[Any]) -> dict[str, Any]:
        """Values for the fields of a dataclass that stand in the table, read by the fields' types."""
        readers = {"str": self.string, "bool": self.flag, "int": self.integer, "float": self.number}
        found = {}
        for name, annotation in [(f.name, str(f.type)) for f in fields(kind)]:
            if name in self:
                reader = readers.get(annotation.removesuffix(" | None"), self.strings)
                value = reader(name)
                if value is not None:
                    found[name] = value
        return found

    def within(self, ranges: Mapping[str, Range], values: dict[str, Any]) -> None:
        """Note each number of ``values`` that is outside its range, and take it out: its default stands in then."""
        for key, allowed in ranges.items():
            if key in values and (text := allowed.problem(values[key])):
                self.problem(key, text)
                del values[key]

    def only(self, known: Iterable[str]) -> None:
        """Note every key that is not among ``known``."""
        names = list(known)
        for key in self.values:
            if key not in names:
                self.problem(key, f"unknown key{did_you_mean(key, names)}")

    def _typed(self, key: str, kind: type[_T], words: str) -> _T | None:
        value = self.values.get(key)
        if value is None or isinstance(value, kind):
            return value
        self.problem(key, f"must be {words}, not {_kind(value)}")
        return None


def did_you_mean(word: str, names: Iterable[str]) -> str:
    """``; did you mean 'x'?`` for the nearest name, or nothing when none is near."""
    near = difflib.get_close_matches(word, list(names), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _kind(value: object) -> str:
    kinds = {str: "a string", bool: "a boolean", int: "a number", float: "a number", list: "a list", dict: "a table"}
    return kinds.get(type(value), type(value).__name__)
