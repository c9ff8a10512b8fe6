"""``$name`` in values of main.cf, as Postfix's mac_parse(3) and mac_expand(3).

================================  ===========================================================
``$name`` ``${name}`` ``$(name)``  the value of the parameter, itself expanded
``$$``                            a ``$``
``${name?text}``                  the text when the parameter has a value that is not empty
``${name:text}``                  the text when it has none
``${name?{text}:{other}}``        one or the other
``${{left} == {right}?...}``      comparison (``== != < <= >= >``): numbers as numbers, else as text
================================  ===========================================================

A comparison may carry the suffix ``level`` and compares compatibility levels then. Only values of main.cf are
expanded: **in a table's own file Postfix takes every ``$`` literally** (cfg_parser.c).
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Any

Lookup = Callable[[str], str | None]
"""The value of a parameter as written, None for one that is not defined."""

MAX_DEPTH = 100
"""mac_expand.c: "unreasonable macro call nesting"."""

_CLOSING = {"(": ")", "{": "}"}
_NAME = re.compile(r"[A-Za-z0-9_]*")
_ATTRIBUTE = re.compile(r"\s*([A-Za-z0-9_]+)\s*(?:([?:])\s*(.*))?", re.DOTALL)
_OPERATOR = re.compile(r"([<>=!]=?)([A-Za-z0-9]*)\s*(?=\{)")
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">=": operator.ge,
    ">": operator.gt,
}


def expand(text: str, lookup: Lookup, depth: int = 0) -> str:
    """``text`` with every ``$name`` replaced. Raises ValueError for what stops Postfix."""
    if depth > MAX_DEPTH:
        raise ValueError("parameters that name each other")
    out: list[str] = []
    at = 0
    while (dollar := text.find("$", at)) >= 0:
        out.append(text[at:dollar])
        if text.startswith("$$", dollar):
            out.append("$")
            at = dollar + 2
            continue
        expression, at = _expression(text, dollar + 1)
        out.append(_evaluate(expression, lookup, depth))
    return "".join([*out, text[at:]])


def names(text: str) -> list[str]:
    """The parameters that ``text`` names directly, in order; for one that cannot be parsed, none."""
    found: list[str] = []

    def note(name: str) -> None:
        found.append(name)

    try:
        expand(text, note)
    except ValueError:
        return []
    return found


def _expression(text: str, at: int) -> tuple[str, int]:
    """What follows a ``$``, and the place after it."""
    if text[at : at + 1] not in _CLOSING:
        match = _NAME.match(text, at)
        assert match is not None
        found, end = match[0], match.end()
    else:
        end = _closed(text, at)
        found = text[at + 1 : end - 1]
    if not found:
        raise ValueError("'$' without a name behind it")
    return found, end


def _closed(text: str, at: int) -> int:
    """The place behind the parenthesis or brace that closes the one at ``at``."""
    opening, closing = text[at], _CLOSING[text[at]]
    level = 0
    for place in range(at, len(text)):
        level += (text[place] == opening) - (text[place] == closing)
        if level == 0:
            return place + 1
    raise ValueError(f"{closing!r} is missing behind {text[at:]!r}")


def _evaluate(expression: str, lookup: Lookup, depth: int) -> str:
    if expression.lstrip().startswith("{"):
        value, mode, rest = _comparison(expression.lstrip(), lookup, depth)
    else:
        match = _ATTRIBUTE.fullmatch(expression)
        if match is None:
            raise ValueError(f"{expression!r} is no parameter name")
        value, mode, rest = lookup(match[1]) or "", match[2] or "", match[3] or ""
        if not mode:
            return expand(value, lookup, depth + 1)
    return _chosen(value, mode, rest, lookup, depth)


def _comparison(text: str, lookup: Lookup, depth: int) -> tuple[str, str, str]:
    end = _closed(text, 0)
    left, rest = text[1 : end - 1], text[end:].lstrip()
    match = _OPERATOR.match(rest)
    if match is None or match[1] not in _COMPARE or match[2] not in ("", "level"):
        raise ValueError(f"a comparison is expected at {rest!r}")
    rest = rest[match.end() :]
    end = _closed(rest, 0)
    right, rest = rest[1 : end - 1], rest[end:].lstrip()
    if rest and rest[0] not in "?:":
        raise ValueError(f"'?' or ':' is expected at {rest!r}")
    left, right = (expand(side, lookup, depth + 1) for side in (left, right))
    holds = _holds(left, right, match[1], level=bool(match[2]))
    return "true" if holds else "", rest[:1], rest[1:].lstrip()


def _holds(left: str, right: str, comparison: str, *, level: bool) -> bool:
    if level:
        return _COMPARE[comparison](_level(left), _level(right))
    if left.isdigit() and right.isdigit():
        return _COMPARE[comparison](int(left), int(right))
    return _COMPARE[comparison](left, right)


def _level(text: str) -> tuple[int, ...]:
    parts = text.strip().split(".")
    if not all(part.isdigit() for part in parts):
        raise ValueError(f"{text!r} is no compatibility level")
    return tuple(int(part) for part in [*parts, "0", "0"][:3])


def _chosen(value: str, mode: str, rest: str, lookup: Lookup, depth: int) -> str:
    if not mode:
        return value
    first, rest = _operand(rest)
    if mode == "?" and rest:
        if not rest.startswith(":"):
            raise ValueError(f"':' is expected at {rest!r}")
        other, rest = _operand(rest[1:].lstrip())
    else:
        other = ""
    if rest:
        raise ValueError(f"unexpected text at {rest!r}")
    chosen = (first if value else other) if mode == "?" else ("" if value else first)
    return expand(chosen, lookup, depth + 1)


def _operand(text: str) -> tuple[str, str]:
    """A text in braces and what follows it; without braces all of it."""
    if not text.startswith("{"):
        return text, ""
    end = _closed(text, 0)
    return text[1 : end - 1], text[end:].lstrip()
