"""LDAP filters (RFC 4515): quoting a value, and a filter template that can tell which entries it matches.

Several lookups that go out as one search come back as one set of entries. To decide which entry answers which of
them, the filter is evaluated here once more, on the values that came back. Only what can be decided without the
server's schema is decided: ``& | !``, presence, and equality by folded text. A filter with anything else is
``evaluable = False`` and never shares a search.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from vmaild.lookup import Entry
from vmaild.tables.quoting import pairs_for_all_but
from vmaild.tables.template import Parts, Template

quote = pairs_for_all_but("A-Za-z0-9._@+= -")
"""Makes a value fit for a filter: every byte but plain printable ones as ``\\XX`` (RFC 4515, 3)."""

_ITEM = re.compile(r"([A-Za-z][A-Za-z0-9.;-]*|[0-9][0-9.]*)?([^=()]*)=((?:\\[0-9A-Fa-f]{2}|[^()\\])*)", re.DOTALL)
_HEX = re.compile(r"((?:\\[0-9A-Fa-f]{2})+)")
_SPACES = re.compile(" +")

# RFC 4515 sets no bound; deeper nesting than this is a mistake in a configuration file.
MAX_DEPTH = 50


class FoldedEntry:
    """An entry whose values are folded for comparison, each attribute when it is first looked at."""

    __slots__ = ("_folded", "entry")

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self._folded: dict[str, frozenset[str]] = {}

    def values(self, attribute: str) -> frozenset[str]:
        """The folded values of ``attribute``, whose name is lower case."""
        folded = self._folded.get(attribute)
        if folded is None:
            folded = self._folded[attribute] = frozenset(map(fold, self.entry.values(attribute)))
        return folded


Test = Callable[[FoldedEntry, Parts], bool]


@dataclass(frozen=True, slots=True)
class _Node:
    test: Test | None  # None: cannot be decided here
    attributes: frozenset[str]


class FilterTemplate:
    """A query_filter: expanded with a key for the server, evaluated on the entries that came back.

    Raises ValueError for a filter that is malformed or holds an unknown ``%``.
    """

    def __init__(self, text: str) -> None:
        self._template = Template(text)
        node, end = _parse(text.strip(), 0, 0)
        if end != len(text.strip()):
            raise ValueError(f"text behind the filter at character {end + 1}")
        self._test = node.test
        self.evaluable = node.test is not None
        """Whether ``matches`` can decide without the server."""
        self.attributes = node.attributes
        """Lower-case names of the attributes that ``matches`` looks at."""

    @property
    def text(self) -> str:
        return self._template.text

    def expand(self, key: Parts) -> str | None:
        """The filter for ``key``, quoted; None when the key lacks a part."""
        return self._template.expand_query(key, quote)

    def matches(self, entry: FoldedEntry, key: Parts) -> bool:
        """Whether ``entry`` has the values that the filter asks for. Only for an evaluable filter."""
        if self._test is None:
            raise ValueError("this filter can only be evaluated by the server")
        return self._test(entry, key)


def joined(filters: list[str]) -> str:
    """One filter for the entries of any of ``filters``, each once."""
    different = list(dict.fromkeys(filters))
    return different[0] if len(different) == 1 else f"(|{''.join(different)})"


def fold(value: bytes | str) -> str:
    """A value as equality sees it: case folded, spaces squeezed (caseIgnoreMatch, RFC 4517)."""
    text = value.decode(errors="surrogateescape") if isinstance(value, bytes) else value
    if " " in text:
        text = _SPACES.sub(" ", text.strip(" "))
    return text.casefold()


def _parse(text: str, at: int, depth: int) -> tuple[_Node, int]:
    """The filter that begins at ``at`` and the place behind it."""
    if depth > MAX_DEPTH:
        raise ValueError(f"nested deeper than {MAX_DEPTH}")
    if not text.startswith("(", at):
        raise ValueError(f"'(' expected at character {at + 1}")
    operator = text[at + 1 : at + 2]
    if operator in ("&", "|", "!"):
        node, at = _parse_list(text, at + 2, operator, depth)
    else:
        item = _ITEM.match(text, at + 1)
        if item is None:
            raise ValueError(f"malformed item at character {at + 2}")
        node, at = _item(item[1] or "", item[2], item[3]), item.end()
    if not text.startswith(")", at):
        raise ValueError(f"')' expected at character {at + 1}")
    return node, at + 1


def _parse_list(text: str, at: int, operator: str, depth: int) -> tuple[_Node, int]:
    nodes = []
    while text.startswith("(", at):
        node, at = _parse(text, at, depth + 1)
        nodes.append(node)
    if not nodes or (operator == "!" and len(nodes) != 1):
        raise ValueError(f"wrong number of filters for '{operator}' before character {at + 1}")
    attributes = frozenset().union(*(node.attributes for node in nodes))
    tests = [node.test for node in nodes if node.test is not None]
    if len(tests) != len(nodes):
        return _Node(None, attributes), at
    return _Node(_combine(operator, tests), attributes), at


def _combine(operator: str, tests: list[Test]) -> Test:
    # Plain loops: this runs for every entry and question of a lookup, and generators cost twice as much.
    def every(entry: FoldedEntry, key: Parts) -> bool:
        for test in tests:  # noqa: SIM110
            if not test(entry, key):
                return False
        return True

    def some(entry: FoldedEntry, key: Parts) -> bool:
        for test in tests:  # noqa: SIM110
            if test(entry, key):
                return True
        return False

    if operator == "!":
        return lambda entry, key: not tests[0](entry, key)
    return every if operator == "&" else some


def _item(attribute: str, operator: str, value: str) -> _Node:
    if operator and operator not in ("~", "<", ">") and not operator.startswith(":"):
        raise ValueError(f"unknown operator '{operator}='")
    if not attribute and not operator.startswith(":"):
        raise ValueError("an item without an attribute")
    name = attribute.lower()
    attributes = frozenset({name} if name else ())
    if operator or ";" in name or (value != "*" and "*" in value):
        return _Node(None, attributes)
    if value == "*":
        return _Node(lambda entry, key: bool(entry.values(name)), attributes)
    template = Template(_HEX.sub(_unhex, value))

    if not template.dynamic:
        constant = fold(template.expand_query(Parts.of("")) or "")
        return _Node(lambda entry, key: constant in entry.values(name), attributes)

    def equal(entry: FoldedEntry, key: Parts) -> bool:
        wanted = template.expand_query(key)
        return wanted is not None and fold(wanted) in entry.values(name)

    return _Node(equal, attributes)


def _unhex(match: re.Match[str]) -> str:
    text = bytes.fromhex(match[1].replace("\\", "")).decode(errors="surrogateescape")
    return text.replace("%", "%%")
