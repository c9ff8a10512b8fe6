"""What every map answers for the demo tree: ``answers.txt`` and the keys that nobody has."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Line(NamedTuple):
    """An address, and the value that each map has for it; None is not found."""

    address: str
    mailbox: str | None
    alias: str | None
    login: str | None


DOMAINS = ("domain1.example", "domain2.example", "domain3.example")

NOT_DOMAINS = (
    "domain4.example",
    "domain1.example.org",
    "sub.domain1.example",
    "example",
    "hosting",
    "accounts",
    "myhosting",
    "myhosting.example",
    "otherdomain.example",
    "postmaster",
    "*",
    "domain*.example",
    "domain1.example,o=hosting",
)

ABSENT = (
    "nobody@domain1.example",
    "nobody+lists@domain1.example",
    "user3@domain1.example",
    "orders@domain1.example",
    "user1orders@domain1.example",
    "user1-lists@domain1.example",
    "user9@domain2.example",
    "nobody@domain2.example",
    "john.doe@domain2.example",
    "sysadmin@domain2.example",
    "user1@domain4.example",
    "postmaster@domain4.example",
    "postmaster@hosting",
    "fred@otherdomain.example",
    "root@myhosting.example",
    "root@accounts",
    "user*@domain1.example",
    "*@domain1.example",
    "user1)(mail=*@domain1.example",
    "user1@domain1.example,o=hosting",
    "user1",
    "domain1.example",
    "domain3.example",
    "*",
)


def _line(text: str) -> Line:
    address, *values = text.split()
    return Line(address, *(None if value == "-" else value for value in values))


_ANSWERS = Path(__file__).with_name("answers.txt").read_text().splitlines()
PRESENT = tuple(_line(text) for text in _ANSWERS if text and not text.startswith("#"))
EVERY_LINE = PRESENT + tuple(Line(key, None, None, None) for key in ABSENT)


def mixed_case(text: str) -> str:
    """Every second letter upper case."""
    return "".join(letter.upper() if place % 2 else letter.lower() for place, letter in enumerate(text))
