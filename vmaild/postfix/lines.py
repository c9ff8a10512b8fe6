"""Logical lines and ``name = value`` of main.cf and of table files, as Postfix's readlline(3) and split_nameval(3).

A line that begins with white space continues the one before it, over empty lines and comments in between. A comment
is a line whose first character other than white space is ``#``; there are none behind a value. The last of two equal
names wins.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

BLANKS = " \t\n\v\f\r"
"""ISSPACE in the C locale."""


@dataclass(slots=True)
class Line:
    """One logical line: its text, and its first and last line number in the file, from 1."""

    first: int
    last: int
    text: str

    @property
    def stray(self) -> bool:
        """Whether it continues a line that is not there; Postfix leaves such a line out with a warning."""
        return self.text[:1] in BLANKS


@dataclass(slots=True)
class Settings:
    """``name = value`` lines: the values as written, not expanded, and where each stands."""

    values: dict[str, str] = field(default_factory=dict)
    lines: dict[str, Line] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    """Lines that make Postfix stop."""
    warnings: list[str] = field(default_factory=list)
    """Lines that Postfix leaves out, or overrides."""


def logical_lines(text: str) -> list[Line]:
    """The logical lines of a file, without comments and empty lines."""
    found: list[Line] = []
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.lstrip(BLANKS)
        if not stripped or stripped.startswith("#"):
            continue
        if line[0] in BLANKS and found:
            found[-1].text += line
            found[-1].last = number
        else:
            found.append(Line(number, number, line))
    return found


def name_and_value(text: str) -> tuple[str, str]:
    """The name before the first ``=`` and the value behind it, without blanks around. Raises ValueError."""
    before, equals, value = text.partition("=")
    words = before.split()
    if not words:
        raise ValueError("no name before '='" if equals else "no 'name = value'")
    if not equals or len(words) > 1:
        raise ValueError(f"no '=' behind {words[0]!r}")
    return words[0], value.strip(BLANKS)


def settings(text: str) -> Settings:
    """The settings of main.cf or of a table file."""
    found = Settings()
    for line in _usable(text, found):
        try:
            name, value = name_and_value(line.text)
        except ValueError as error:
            found.problems.append(f"line {line.first}: {error}")
            continue
        if found.values.get(name, value) != value:
            found.warnings.append(f"line {line.first}: {name} is listed twice; the last one counts")
        found.values[name] = value
        found.lines[name] = line
    return found


def _usable(text: str, found: Settings) -> Iterator[Line]:
    for line in logical_lines(text):
        if line.stray:
            found.warnings.append(
                f"line {line.first}: begins with a blank and continues nothing; Postfix leaves it out"
            )
        else:
            yield line
