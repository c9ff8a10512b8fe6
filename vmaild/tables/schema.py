"""The server's schema, as far as it decides what a filter matches (RFC 4512, 4.1 and 4.2).

Built from the values of ``attributeTypes`` and ``objectClasses`` of a subschema entry. It tells under which names the
values of an attribute come back (its own names, its OID and those of its subtypes), by which rule they are compared,
and which object classes an entry belongs to by way of superclasses. Everything is lower case. What it does not know is
None: nothing may be concluded from it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

_TOKEN = re.compile(r"'[^']*'|[()$]|[^\s()$']+")

_FLAGS = {"obsolete", "single-value", "collective", "no-user-modification", "abstract", "structural", "auxiliary"}
"""What stands in a definition without anything behind it."""

OBJECT_CLASS = "objectclass"

TOP = "top"
"""Every entry belongs to this class (RFC 4512, 2.4.1), also where the definition of its own class leaves that out."""

MAX_DEPTH = 100
"""Superiors followed from one definition: a ring of definitions, which no server should have, ends there."""


class AttributeType(NamedTuple):
    """What counts as one attribute in a filter.

    ``names``: the descriptions, without options, under which its values come back. ``equality`` is its matching rule
    and ``syntax`` the OID of its values' syntax, empty when it has none. ``alone`` means that it has no subtypes, of
    which an access rule could hide one and show another.
    """

    name: str
    names: frozenset[str]
    equality: str
    syntax: str
    alone: bool


class _Definition(NamedTuple):
    names: tuple[str, ...]  # the OID last
    superiors: tuple[str, ...]
    equality: str
    syntax: str


class Schema:
    """Attribute types and object classes by name. ``raw`` are the values it was read from, to compare two by."""

    def __init__(self, attribute_types: Iterable[bytes], object_classes: Iterable[bytes]) -> None:
        self.raw = (tuple(attribute_types), tuple(object_classes))
        self._types = _by_name(map(_definition, self.raw[0]))
        self._classes = _by_name(map(_definition, self.raw[1]))
        self._subtypes: dict[tuple[str, ...], set[str]] = {}
        for definition in set(self._types.values()):
            for above in _upwards(definition, self._types) or ():
                self._subtypes.setdefault(above.names, set()).update(definition.names)
        self._attributes: dict[str, AttributeType | None] = {}
        self.memberships: dict[tuple[bytes, ...], frozenset[str] | None] = {}
        """What ``classes`` has worked out."""

    def attribute(self, name: str) -> AttributeType | None:
        """The attribute type of that name or OID, in lower case; None when the schema does not have it."""
        if name not in self._attributes:
            self._attributes[name] = self._attribute(name)
        return self._attributes[name]

    def classes(self, values: tuple[bytes, ...]) -> frozenset[str] | None:
        """Every name of every class that an entry with these objectClass values belongs to, superclasses included.

        None when one of them is unknown, or there is none: it was not shown then.
        """
        if values not in self.memberships:
            if len(self.memberships) > 1000:  # an entry can name any combination of classes
                self.memberships.clear()
            self.memberships[values] = self._closure(values)
        return self.memberships[values]

    def has_class(self, name: str) -> bool:
        """Whether the schema has an object class of that lower-case name or OID."""
        return name in self._classes

    def _attribute(self, name: str) -> AttributeType | None:
        definition = self._types.get(name)
        chain = _upwards(definition, self._types) if definition else None
        if definition is None or chain is None:
            return None
        equality = next((above.equality for above in chain if above.equality), "")
        syntax = next((above.syntax for above in chain if above.syntax), "")
        names = frozenset(self._subtypes[definition.names])
        return AttributeType(definition.names[0], names, equality, syntax, names.issubset(definition.names))

    def _closure(self, values: tuple[bytes, ...]) -> frozenset[str] | None:
        top = self._classes.get(TOP)
        names = set(top.names if top else ())
        for value in values:
            definition = self._classes.get(value.decode("latin-1").lower())
            chain = _upwards(definition, self._classes) if definition else None
            if chain is None:
                return None
            names.update(*(above.names for above in chain))
        return frozenset(names) if values else None


def _definition(value: bytes) -> _Definition:
    """What one definition says; whatever is not understood is left out of it."""
    _, oid, *tokens = [*_TOKEN.findall(value.decode("latin-1").lower()), "", ""]
    said: dict[str, tuple[str, ...]] = {}
    rest = iter(tokens)
    for keyword in rest:
        if keyword not in _FLAGS:
            said[keyword] = tuple(_operand(rest))
    equality, syntax = ("".join(said.get(keyword, ())) for keyword in ("equality", "syntax"))
    return _Definition((*said.get("name", ()), oid), said.get("sup", ()), equality, syntax.partition("{")[0])


def _operand(rest: Iterator[str]) -> Iterator[str]:
    """The word that stands next, or the words in parentheses there."""
    word = next(rest, "")
    if word != "(":
        yield word.strip("'")
        return
    for word in rest:
        if word == ")":
            return
        if word != "$":
            yield word.strip("'")


def _by_name(definitions: Iterable[_Definition]) -> dict[str, _Definition]:
    return {name: definition for definition in definitions for name in definition.names}


def _upwards(definition: _Definition, known: dict[str, _Definition]) -> list[_Definition] | None:
    """The definition and all its superiors, nearest first; None when one of them is unknown."""
    chain = [definition]
    for above in chain:
        for name in above.superiors:
            superior = known.get(name)
            if superior is None or len(chain) > MAX_DEPTH:
                return None
            if superior not in chain:
                chain.append(superior)
    return chain
