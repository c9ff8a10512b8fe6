"""Plain texts as mdoc(7): one sentence a line, literals as macros, everything that roff would read escaped."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator

WIDTH = 78
"""Of an input line, since mandoc -T lint asks for less than 80."""

# Closing punctuation that mdoc takes as an argument of its own, and sets without a space.
_LITERAL = re.compile(r"(?P<before>[(\[]?)``(?P<text>.+?)``(?P<after>[.,:;)\]?!]*)")
_PAGE = re.compile(r"(?P<before>\(?)\b(?P<name>[a-z][\w.-]*)\((?P<section>[1-8])\)(?P<after>[.,:;)]*)")
_SENTENCE_END = re.compile(r"(?<=[.?!])\s+(?=[A-Z`\"(])")
_WORD = re.compile(r"[a-z][a-z0-9_-]+")
_FLAG = re.compile(r"-[\w-]+")


def literal(text: str) -> str:
    """A macro line's arguments that show ``text`` as it is."""
    escaped = text.replace("\\", r"\e").replace('"', r"\(dq").replace("'", r"\(aq")
    return f'"{escaped}"' if " " in text else rf"\&{escaped}" if _looks_like_a_macro(text) else escaped


def prose(text: str) -> Iterator[str]:
    """The lines for a text in which ``x`` between two backquotes is a literal, and page(5) a reference."""
    text = " ".join(text.split())
    for sentence in _SENTENCE_END.split(text):
        yield from _sentence(sentence)


def verbatim(text: str) -> Iterator[str]:
    """The lines for a text that is set as it is, between .Bd and .Ed."""
    for line in text.splitlines():
        escaped = line.replace("\\", r"\e")
        yield rf"\&{escaped}" if escaped[:1] in (".", "'") else escaped


def _sentence(sentence: str) -> Iterator[str]:
    place = 0
    found = sorted([*_LITERAL.finditer(sentence), *_PAGE.finditer(sentence)], key=lambda match: match.start())
    for match in found:
        if match.start() < place:
            continue
        yield from _plain(sentence[place : match.start()])
        yield _macro(match)
        place = match.end()
    yield from _plain(sentence[place:])


def _plain(text: str) -> Iterator[str]:
    for line in textwrap.wrap(text.strip(), WIDTH, break_long_words=False, break_on_hyphens=False):
        yield from verbatim(line)


def _macro(match: re.Match[str]) -> str:
    after = "".join(f" {mark}" for mark in match["after"])
    # An opening bracket before a macro is its argument, as the closing marks are.
    before = f"{match['before']} " if match["before"] else ""
    if match.re is _PAGE:
        return f".Xr {before}{match['name']} {match['section']}{after}"
    text = match["text"]
    if _FLAG.fullmatch(text):
        return f".Fl {before}{text[1:]}{after}"
    return f".{'Ic' if _WORD.fullmatch(text) else 'Ql'} {before}{literal(text)}{after}"


def _looks_like_a_macro(text: str) -> bool:
    return re.fullmatch(r"[%A-Z][A-Za-z]{1,2}|[.,:;()\[\]?!|]", text) is not None
