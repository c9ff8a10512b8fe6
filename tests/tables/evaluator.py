"""A filter evaluated as a server does it (RFC 4511, 4.5.1.7): True, False or None for undefined. No code under test.

It knows the small schema written here, and nothing else is needed: ``schema()`` is the same for the code under test.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from vmaild.tables.schema import Schema

ATTRIBUTES = {
    "objectclass": ("2.5.4.0", "objectIdentifierMatch"),
    "mail": ("0.9.2342.19200300.100.1.3", "caseIgnoreIA5Match"),
    "mailbox": ("1.1.1", "caseExactIA5Match"),
    "maildrop": ("1.1.2", "caseIgnoreIA5Match"),
    "uidnumber": ("1.1.3", "integerMatch"),
    "gidnumber": ("1.1.4", "integerMatch"),
    "o": ("2.5.4.10", "caseIgnoreMatch"),
    "cn": ("2.5.4.3", "caseIgnoreMatch"),
    "dc": ("0.9.2342.19200300.100.1.25", "caseIgnoreIA5Match"),
    "description": ("2.5.4.13", "caseIgnoreMatch"),
    "password": ("1.1.5", "caseExactMatch"),
    "roleoccupant": ("2.5.4.33", "distinguishedNameMatch"),
    "member": ("2.5.4.31", "distinguishedNameMatch"),
    "address": ("1.1.6", "caseIgnoreMatch"),
    "ref": ("1.1.7", "caseExactMatch"),
}
ALIASES = {"rfc822mailbox": "mail", "commonname": "cn"}
SUPERIORS = {"sub": "person", "courieraccountplus": "couriermailaccount"}
CLASSES = (
    "top",
    "person",
    "group",
    "organization",
    "organizationalrole",
    "couriermailaccount",
    "couriermailalias",
    *SUPERIORS,
)

_SYNTAX = "1.3.6.1.4.1.1466.115.121.1.15"  # of no account where the rule is not one for text

_PART = re.compile(r"\\([0-9A-Fa-f]{2})")


def schema() -> Schema:
    """The same schema as a server publishes it."""
    aliases = {name: alias for alias, name in ALIASES.items()}
    types = [
        f"( {oid} NAME ( '{name}' '{aliases.get(name, name)}' ) EQUALITY {rule} SYNTAX {_SYNTAX}{'{256}'} )"
        for name, (oid, rule) in ATTRIBUTES.items()
    ]
    classes = [
        f"( 2.1.{number} NAME '{name}' SUP {SUPERIORS.get(name, 'top')} STRUCTURAL )" if name != "top" else
        f"( 2.1.{number} NAME 'top' ABSTRACT )"
        for number, name in enumerate(CLASSES)
    ]  # fmt: skip
    return Schema([text.encode() for text in types], [text.encode() for text in classes])


def matches(text: str, attributes: Mapping[str, tuple[bytes, ...]]) -> bool:
    """Whether an entry with these attributes, by lower-case name, matches the filter."""
    verdict, rest = _filter(text, attributes)
    assert not rest, f"behind the filter: {rest}"
    return verdict is True


def _filter(text: str, entry: Mapping[str, tuple[bytes, ...]]) -> tuple[bool | None, str]:
    assert text[0] == "(", text
    if text[1] not in "&|!":
        item, _, rest = text[1:].partition(")")
        return _item(item, entry), rest
    rest, found = text[2:], []
    while rest[0] == "(":
        verdict, rest = _filter(rest, entry)
        found.append(verdict)
    assert rest[0] == ")", rest
    return {"&": _all, "|": _any, "!": _not}[text[1]](found), rest[1:]


def _all(found: list[bool | None]) -> bool | None:
    return False if False in found else None if None in found else True


def _any(found: list[bool | None]) -> bool | None:
    return True if True in found else None if None in found else False


def _not(found: list[bool | None]) -> bool | None:
    return None if found[0] is None else not found[0]


def _item(item: str, entry: Mapping[str, tuple[bytes, ...]]) -> bool | None:
    attribute, _, wanted = item.partition("=")
    name = ALIASES.get(attribute.lower(), attribute.lower())
    if name not in ATTRIBUTES:
        return None
    values = [value.decode("latin-1") for value in entry.get(name, ())]
    if wanted == "*":
        return bool(values)
    pieces = ["".join(chr(int(p, 16)) if n % 2 else p for n, p in enumerate(_PART.split(w))) for w in wanted.split("*")]
    if name == "objectclass":
        return _folded(pieces[0]) in {above for value in values for above in _chain(value.lower())}
    exact = "Exact" in ATTRIBUTES[name][1]
    pattern = ".*".join(re.escape(piece if exact else _folded(piece)) for piece in pieces)
    return any(re.fullmatch(pattern, value if exact else _folded(value), re.DOTALL) for value in values)


def _chain(name: str) -> set[str]:
    return {"top", name} | (_chain(SUPERIORS[name]) if name in SUPERIORS else set())


def _folded(text: str) -> str:
    return re.sub(" +", " ", text.lower())
