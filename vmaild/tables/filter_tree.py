"""LDAP filters (RFC 4515) as trees: reading them, and writing them again. ``%`` stands for itself here."""

from __future__ import annotations

import re
from typing import NamedTuple

from vmaild.tables.schema import OBJECT_CLASS
from vmaild.tables.template import Template

_ITEM = re.compile(r"([A-Za-z][A-Za-z0-9.;-]*|[0-9][0-9.]*)?([^=()]*)=((?:\\[0-9A-Fa-f]{2}|[^()\\])*)", re.DOTALL)

MAX_DEPTH = 50
"""RFC 4515 sets no bound; deeper nesting than this is a mistake in a configuration file."""


class Item(NamedTuple):
    """``(attribute operator value)``; the operator is empty for ``=``, as are the names of what is not there."""

    attribute: str
    operator: str
    value: str


class Combined(NamedTuple):
    """``& | !`` and what it joins."""

    operator: str
    parts: tuple[Item | Combined, ...]


Node = Item | Combined


def parse(text: str) -> Node:
    """The filter in ``text``. Raises ValueError for one that is malformed."""
    tree, end = _parse(text.strip(), 0, 0)
    if end != len(text.strip()):
        raise ValueError(f"text behind the filter at character {end + 1}")
    return tree


def _parse(text: str, at: int, depth: int) -> tuple[Node, int]:
    """The filter that begins at ``at`` and the place behind it."""
    if depth > MAX_DEPTH:
        raise ValueError(f"nested deeper than {MAX_DEPTH}")
    if not text.startswith("(", at):
        raise ValueError(f"'(' expected at character {at + 1}")
    operator = text[at + 1 : at + 2]
    node: Node
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
    # RFC 4526: nothing behind "&" is true, nothing behind "|" false.
    if operator == "!" and len(parts) != 1:
        raise ValueError(f"wrong number of filters for '{operator}' before character {at + 1}")
    return Combined(operator, tuple(parts)), at


def _item(attribute: str, operator: str, value: str) -> Item:
    if operator and operator not in ("~", "<", ">") and not operator.startswith(":"):
        raise ValueError(f"unknown operator '{operator}='")
    if not attribute and not operator.startswith(":"):
        raise ValueError("an item without an attribute")
    return Item(attribute.lower(), operator, value)


def without_classes(tree: Node) -> tuple[Node, tuple[Node, ...]]:
    """What to ask for, and the classes that the entries must have then; none where the filter has no key beside."""
    if isinstance(tree, Item) or tree.operator != "&":
        return tree, ()
    classes = tuple(part for part in tree.parts if isinstance(part, Item) and part[:2] == (OBJECT_CLASS, ""))
    rest = tuple(part for part in tree.parts if part not in classes)
    if not any(isinstance(part, Item) and Template(part.value).inserts for part in rest):
        return tree, ()
    return rest[0] if len(rest) == 1 else Combined("&", rest), classes


def text_of(node: Node) -> str:
    if isinstance(node, Item):
        return f"({node.attribute}{node.operator}={node.value})"
    return f"({node.operator}{''.join(map(text_of, node.parts))})"


def attributes_of(node: Node) -> set[str]:
    if isinstance(node, Item):
        return {node.attribute.partition(";")[0]} - {""}
    return set().union(*map(attributes_of, node.parts))
