"""What a PromQL query asks of the metrics: names of metrics, and the labels it wants of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_SELECTOR = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\s*\{([^}]*)\}")
_MATCHER = re.compile(r'([a-zA-Z_]\w*)\s*(=~|!~|!=|=)\s*("(?:[^"\\]|\\.)*")')
_RANGE = re.compile(r"\[[^\]]*\]")
_KEYWORDS = {"and", "or", "unless", "bool", "offset", "inf", "nan"}


class Matcher(NamedTuple):
    """A condition on a label."""

    metric: str
    label: str
    operator: str
    value: str

    def fits(self, value: str) -> bool:
        """Whether a label's value meets it."""
        same = re.fullmatch(self.value, value) is not None if "~" in self.operator else self.value == value
        return same != self.operator.startswith("!")


def metrics(query: str) -> set[str]:
    """Every metric that a query names: each word that is no function, keyword, label or string."""
    bare = _RANGE.sub("", _STRING.sub('""', query))
    bare = re.sub(r"\{[^}]*\}", " ", _GROUPING.sub(" ", bare))
    # A number may have letters: 1e6, 0x7f.
    bare = re.sub(r"\b\d\w*", " ", bare)
    # ``sum by (map) (x)`` has lost its grouping here, and stands before a bracket as a function does.
    words = ((match[0], bare[match.end() :].lstrip()) for match in _NAME.finditer(bare))
    return {word for word, rest in words if word.lower() not in _KEYWORDS and not rest.startswith("(")}


def matchers(query: str) -> Iterator[Matcher]:
    """Every condition on a label."""
    for selector in _SELECTOR.finditer(query):
        for label, operator, value in _MATCHER.findall(selector[2]):
            yield Matcher(selector[1], label, operator, value[1:-1])


def groupings(query: str) -> set[str]:
    """The labels that it groups or joins by."""
    return {label.strip() for match in _GROUPING.finditer(query) for label in match[1].split(",") if label.strip()}
