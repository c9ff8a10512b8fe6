"""LDAP filters (RFC 4515): quoting a value, and a filter template that can tell which entries it matches.

Several queries that go out as one search come back as one set of entries. Which entry answers which of them is decided
here, by the server's schema (``vmaild.tables.schema``), on the values that came back; a test says True or False only
where the server must have decided the same, else None. So it is None

- for what only the server can compare: substrings, ``>= <= ~=``, extensible matches, options, matching rules other
  than those of ``RULES``, values with anything but printable ASCII or with spaces that a rule would squeeze;
- for an attribute or object class that the schema does not have (the server takes such an item for undefined);
- for an attribute of which no value came back: an access rule may let it be searched and not read. Nor is it False
  for an attribute with subtypes, of which a rule may hide one and show another.

What is taken for granted: an attribute that shows a value shows all of them, what may be read may be searched, and
what is shown is what is searched (no overlay makes up values).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from vmaild.lookup import Entry
from vmaild.tables.quoting import pairs_for_all_but
from vmaild.tables.schema import OBJECT_CLASS, AttributeType, Schema
from vmaild.tables.template import PLAIN, Parts, Template

quote = pairs_for_all_but("A-Za-z0-9._@+= -")
"""Makes a value fit for a filter: every byte but plain printable ones as ``\\XX`` (RFC 4515, 3)."""

_ITEM = re.compile(r"([A-Za-z][A-Za-z0-9.;-]*|[0-9][0-9.]*)?([^=()]*)=((?:\\[0-9A-Fa-f]{2}|[^()\\])*)", re.DOTALL)
_HEX = re.compile(r"((?:\\[0-9A-Fa-f]{2})+)")
_SPACES = re.compile(" +")
_PLAIN = re.compile(r"[!-~]+(?: [!-~]+)*")

MAX_DEPTH = 50
"""RFC 4515 sets no bound; deeper nesting than this is a mistake in a configuration file."""

RULES: dict[str, Callable[[str], str]] = {
    "caseignoreia5match": str.lower,
    "caseignorematch": str.lower,
    "caseexactia5match": str,
    "caseexactmatch": str,
}
"""Matching rules (RFC 4517) that plain text decides, and what they compare it by."""

# RFC 4512, 2.4.1: the classes of an entry are compared by name, alias or OID, with their superclasses.
_CLASS_RULE = "objectidentifiermatch"

_NOTHING: frozenset[str] = frozenset()

Verdict = bool | None
Test = Callable[["Shown", Parts], Verdict]


class Shown:
    """An entry as it came back, its values made comparable when a test first looks at them."""

    __slots__ = ("_optioned", "entry", "schema", "seen")

    def __init__(self, entry: Entry, schema: Schema) -> None:
        self.entry = entry
        self.schema = schema
        self.seen: dict[str, tuple[frozenset[str], bool]] = {}
        """What ``values`` has found, by the attribute's name."""
        self._optioned = ";" in "".join(entry.attributes)

    def values(self, attribute: AttributeType) -> tuple[frozenset[str], bool]:
        """The comparable values of ``attribute``, and whether these are all: then one that is not there is not."""
        seen = self.seen[attribute.name] = self._comparable(self._raw(attribute), attribute)
        return seen

    def has(self, attribute: AttributeType) -> bool:
        """Whether a value of ``attribute`` came back, known or not."""
        return any(name.partition(";")[0] in attribute.names for name in self.entry.attributes)

    def _raw(self, attribute: AttributeType) -> tuple[bytes, ...]:
        """The values under any name of the attribute; none at all when one of them is there and not known."""
        shown = self.entry.attributes
        if attribute.alone and not self._optioned and attribute.name in shown:
            return shown[attribute.name]
        raw: tuple[bytes, ...] = ()
        for description, values in shown.items():
            if description.partition(";")[0] in attribute.names:
                if not values:
                    return ()
                raw += values
        return raw

    def _comparable(self, raw: tuple[bytes, ...], attribute: AttributeType) -> tuple[frozenset[str], bool]:
        if attribute.equality == _CLASS_RULE:
            classes = self.schema.memberships.get(raw) or self.schema.classes(raw)
            return classes or _NOTHING, attribute.alone and bool(classes)
        if len(raw) == 1:
            value = _comparable(raw[0].decode("latin-1"), attribute.equality)
            return (_NOTHING, False) if value is None else (frozenset((value,)), attribute.alone)
        values = {_comparable(value.decode("latin-1"), attribute.equality) for value in raw}
        return frozenset(value for value in values if value), attribute.alone and bool(raw) and None not in values


def _comparable(value: str, rule: str) -> str | None:
    """``value`` as the matching rule compares it; None when that cannot be told here."""
    return RULES[rule](value) if _PLAIN.fullmatch(value) else None


class Item(NamedTuple):
    """``(attribute operator value)``; the operator is empty for ``=``, as are the names of what is not there."""

    attribute: str
    operator: str
    value: str


class Combined(NamedTuple):
    """``& | !`` and what it joins."""

    operator: str
    parts: tuple[Item | Combined, ...]


class FilterTemplate:
    """A query_filter. Raises ValueError for one that is malformed or holds an unknown ``%``."""

    def __init__(self, text: str) -> None:
        self.template = Template(text)
        tree, end = _parse(text.strip(), 0, 0)
        if end != len(text.strip()):
            raise ValueError(f"text behind the filter at character {end + 1}")
        self._sent, self._classes = _without_classes(tree)
        self.attributes = frozenset(_attributes(tree))
        """Lower-case names of the attributes that it looks at, without options."""

    @property
    def text(self) -> str:
        return self.template.text

    def essence(self) -> str:
        """A filter that matches at least as much, and is easier for a server: without the classes beside a key.

        Only classes are left out, since next to a key they exclude little.
        """
        return _text(self._sent) if self._classes else self.text

    def tests(self, schema: Schema) -> tuple[Test, Test] | None:
        """What decides whether an entry matches for a key: both must be true. None when that is for the server alone.

        The first is of the ``essence``, the second of the rest.
        """
        sent = _test(self._sent, schema)
        rest = _test(Combined("&", self._classes), schema) if self._classes else _always
        return None if sent is None or rest is None else (sent, rest)


def joined(filters: list[str]) -> str:
    """One filter for the entries of any of ``filters``, each once."""
    different = list(dict.fromkeys(filters))
    return different[0] if len(different) == 1 else f"(|{''.join(different)})"


def fold(value: bytes | str) -> str:
    """A value as most attributes compare it: case folded, spaces squeezed (caseIgnoreMatch, RFC 4517)."""
    text = value.decode(errors="surrogateescape") if isinstance(value, bytes) else value
    if " " in text:
        text = _SPACES.sub(" ", text.strip(" "))
    return text.casefold()


# --- reading --------------------------------------------------------------------------------------------------------


def _parse(text: str, at: int, depth: int) -> tuple[Item | Combined, int]:
    """The filter that begins at ``at`` and the place behind it."""
    if depth > MAX_DEPTH:
        raise ValueError(f"nested deeper than {MAX_DEPTH}")
    if not text.startswith("(", at):
        raise ValueError(f"'(' expected at character {at + 1}")
    operator = text[at + 1 : at + 2]
    node: Item | Combined
    if operator in ("&", "|", "!"):
        node, at = _parse_list(text, at + 2, operator, depth)
    else:
        match = _ITEM.match(text, at + 1)
        if match is None:
            raise ValueError(f"malformed item at character {at + 2}")
        node, at = _item(match[1] or "", match[2], match[3]), match.end()
    if not text.startswith(")", at):
        raise ValueError(f"')' expected at character {at + 1}")
    return node, at + 1


def _parse_list(text: str, at: int, operator: str, depth: int) -> tuple[Combined, int]:
    parts = []
    while text.startswith("(", at):
        part, at = _parse(text, at, depth + 1)
        parts.append(part)
    if not parts or (operator == "!" and len(parts) != 1):
        raise ValueError(f"wrong number of filters for '{operator}' before character {at + 1}")
    return Combined(operator, tuple(parts)), at


def _item(attribute: str, operator: str, value: str) -> Item:
    if operator and operator not in ("~", "<", ">") and not operator.startswith(":"):
        raise ValueError(f"unknown operator '{operator}='")
    if not attribute and not operator.startswith(":"):
        raise ValueError("an item without an attribute")
    return Item(attribute.lower(), operator, value)


def _without_classes(tree: Item | Combined) -> tuple[Item | Combined, tuple[Item | Combined, ...]]:
    """What to ask for, and the classes that the entries must have then; none where the filter has no key beside."""
    if isinstance(tree, Item) or tree.operator != "&":
        return tree, ()
    classes = tuple(part for part in tree.parts if isinstance(part, Item) and part[:2] == (OBJECT_CLASS, ""))
    rest = tuple(part for part in tree.parts if part not in classes)
    if not any(isinstance(part, Item) and Template(part.value).inserts for part in rest):
        return tree, ()
    return rest[0] if len(rest) == 1 else Combined("&", rest), classes


def _text(node: Item | Combined) -> str:
    if isinstance(node, Item):
        return f"({node.attribute}{node.operator}={node.value})"
    return f"({node.operator}{''.join(map(_text, node.parts))})"


def _attributes(node: Item | Combined) -> set[str]:
    if isinstance(node, Item):
        return {node.attribute.partition(";")[0]} - {""}
    return set().union(*map(_attributes, node.parts))


# --- deciding -------------------------------------------------------------------------------------------------------


def _test(node: Item | Combined, schema: Schema) -> Test | None:
    if isinstance(node, Item):
        return _item_test(node, schema)
    tests = [test for part in node.parts if (test := _test(part, schema))]
    if len(tests) != len(node.parts):
        return None
    if node.operator == "!":
        return _negated(tests[0])
    if len(tests) == 1:
        return tests[0]
    return _first(tests, decisive=node.operator == "|")


def _first(tests: list[Test], *, decisive: bool) -> Test:
    """``&`` and ``|``: the first decisive verdict counts, else None if there was one."""

    def test(shown: Shown, key: Parts) -> Verdict:
        verdict: Verdict = not decisive
        for part in tests:
            found = part(shown, key)
            if found is decisive:
                return decisive
            if found is None:
                verdict = None
        return verdict

    return test


def _always(shown: Shown, key: Parts) -> Verdict:
    return True


def _negated(test: Test) -> Test:
    def negated(shown: Shown, key: Parts) -> Verdict:
        verdict = test(shown, key)
        return None if verdict is None else not verdict

    return negated


def _item_test(item: Item, schema: Schema) -> Test | None:
    attribute = schema.attribute(item.attribute)
    if attribute is None or item.operator:
        return None
    if item.value == "*":
        return lambda shown, key: True if shown.has(attribute) else None
    if "*" in item.value:
        return None
    if attribute.equality == _CLASS_RULE and attribute.name == OBJECT_CLASS:
        return _class_test(attribute, item.value.lower(), schema)
    return _equality_test(attribute, item.value) if attribute.equality in RULES else None


def _class_test(attribute: AttributeType, wanted: str, schema: Schema) -> Test | None:
    if not schema.has_class(wanted):
        return None

    name = attribute.name

    def is_of_class(shown: Shown, key: Parts) -> Verdict:
        classes, complete = shown.seen.get(name) or shown.values(attribute)
        return wanted in classes if complete else None

    return is_of_class


def _equality_test(attribute: AttributeType, value: str) -> Test:
    template = Template(_HEX.sub(_unhex, value))
    name, rule = attribute.name, attribute.equality
    whole = template.text == PLAIN

    def equal(shown: Shown, key: Parts) -> Verdict:
        text = key.text if whole else template.expand_query(key)
        wanted = _comparable(text, rule) if text else None
        if wanted is None:
            return None
        values, complete = shown.seen.get(name) or shown.values(attribute)
        return True if wanted in values else (False if complete else None)

    return equal


def _unhex(match: re.Match[str]) -> str:
    text = bytes.fromhex(match[1].replace("\\", "")).decode("latin-1")
    return text.replace("%", "%%")
