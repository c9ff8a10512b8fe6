"""Which entries a filter matches, decided by the server's schema on the values that came back.

Several queries that go out as one search come back as one set of entries. Which entry answers which of them is decided
here, by the server's schema (``vmaild.tables.schema``), on the values that came back; a test says True or False only
where the server must have decided the same, else None. So it is None

- for what only the server can compare: substrings, ``>= <= ~=``, extensible matches, options, matching rules other
  than those of ``RULES``, values with anything but printable ASCII or with spaces that a rule would squeeze;
- for an attribute or object class that the schema does not have (the server takes such an item for undefined);
- for an attribute of which no value came back: an access rule may let it be searched and not read. Nor is it False
  for an attribute with subtypes, of which a rule may hide one and show another;
- for an attribute that came back with options, or by another name: that is a subtype too, or its values are not known.

What is taken for granted: an attribute that shows a value shows all of them, what may be read may be searched, and
what is shown is what is searched (no overlay makes up values).
"""

from __future__ import annotations

import re
from collections.abc import Callable

from vmaild.lookup import Entry
from vmaild.tables.filter_tree import Item, Node
from vmaild.tables.schema import OBJECT_CLASS, AttributeType, Schema
from vmaild.tables.template import PLAIN, Parts, Template

_HEX = re.compile(r"((?:\\[0-9A-Fa-f]{2})+)")
_PLAIN = re.compile(r"[!-~]+(?: [!-~]+)*")

RULES: dict[str, Callable[[str], str]] = {
    "caseignoreia5match": str.lower,
    "caseignorematch": str.lower,
    "caseexactia5match": str,
    "caseexactmatch": str,
}
"""Matching rules (RFC 4517) that plain text decides, and what they compare it by."""

_CLASS_RULE = "objectidentifiermatch"
"""RFC 4512, 2.4.1: the classes of an entry are compared by name, alias or OID, with their superclasses."""

_NOTHING: frozenset[str] = frozenset()

Verdict = bool | None
Test = Callable[["Shown", Parts], Verdict]


class Shown:
    """An entry as it came back, its values made comparable when a test first needs them."""

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
                if not values or ";" in description:
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


def test_of(node: Node, schema: Schema) -> Test | None:
    """What decides whether an entry matches for a key; None when that is for the server alone."""
    if isinstance(node, Item):
        return _item_test(node, schema)
    tests = [test for part in node.parts if (test := test_of(part, schema))]
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


def always(shown: Shown, key: Parts) -> Verdict:
    """True: for what leaves nothing to decide."""
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
