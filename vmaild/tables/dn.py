"""Distinguished names (RFC 4514): quoting a value, reading a DN, telling whether two are the same.

Comparison folds letter case and squeezes spaces, as caseIgnoreMatch does (RFC 4517, 4.2.11): the rule of every
attribute that names an entry in the trees vmaild reads.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from vmaild.tables.quoting import pairs_for_all_but
from vmaild.tables.schema import Schema

# One RDN: its (attribute, value) pairs, in the order of the attribute names; a multi-valued RDN has several.
Rdn = tuple[tuple[str, str], ...]
Dn = tuple[Rdn, ...]

quote = pairs_for_all_but("A-Za-z0-9._@-")
"""Makes a value fit for a DN: every byte but letters, digits and ``-._@`` as ``\\XX`` (RFC 4514, 2.4)."""

_PAIR = re.compile(
    r"""\s*(?P<attribute>[A-Za-z][A-Za-z0-9-]*|[0-9]+(?:\.[0-9]+)*)\s*=\s*
        (?P<value>(?:\\[0-9A-Fa-f]{2}|\\[^0-9A-Fa-f]|[^\\,+;"])*)
        (?P<end>[,;+]|$)""",
    re.VERBOSE | re.DOTALL,
)
# A DN in which nothing is escaped, quoted or spaced, as almost all are: it is read in a sixth of the time.
_SIMPLE = re.compile(r"[A-Za-z][A-Za-z0-9-]*=[A-Za-z0-9@._-]+(?:,[A-Za-z][A-Za-z0-9-]*=[A-Za-z0-9@._-]+)*")
_ESCAPES = re.compile(r"((?:\\[0-9A-Fa-f]{2})+)|\\(.)", re.DOTALL)
_SPACES = re.compile(" +")
_IGNORE_CASE = frozenset({"caseignoreia5match", "caseignorematch"})
_TEXTS = frozenset({"1.3.6.1.4.1.1466.115.121.1.15", "1.3.6.1.4.1.1466.115.121.1.26"})
"""Directory String and IA5 String (RFC 4517, 3.3), of which any ASCII text is a value."""


def parse(dn: str, fold: Callable[[str], str] = str.casefold) -> Dn:
    """The DN's RDNs, the entry's own first, values unescaped and folded. Raises ValueError for what is no DN."""
    if _SIMPLE.fullmatch(dn):
        parts = [rdn.partition("=") for rdn in dn.split(",")]
        return tuple([((attribute.lower(), fold(value)),) for attribute, _, value in parts])
    if not dn.strip():
        return ()
    rdns: list[Rdn] = []
    pairs: list[tuple[str, str]] = []
    at = 0
    while True:
        match = _PAIR.match(dn, at)
        if match is None:
            raise ValueError("malformed DN")
        pairs.append((match["attribute"].lower(), fold(_plain(match["value"]))))
        at = match.end()
        if match["end"] != "+":
            rdns.append(tuple(sorted(pairs)))
            pairs = []
            if not match["end"]:
                return tuple(rdns)


def same(one: str, other: str) -> bool:
    """Whether two DNs name the same entry; false when either is no DN."""
    try:
        return parse(one) == parse(other)
    except ValueError:
        return False


def canonical(dn: str, schema: Schema) -> Dn | None:
    """The DN by the schema's names of its attributes; None where its text does not decide which entry it names.

    It does where every value is plain ASCII of an attribute that is compared without regard to letter case, and takes
    any text: a server refuses other names as malformed.
    """
    try:
        rdns = parse(dn, str)
    except ValueError:
        return None
    named: list[Rdn] = []
    for rdn in rdns:
        pairs = []
        for attribute, value in rdn:
            known = schema.attribute(attribute)
            if known is None or known.equality not in _IGNORE_CASE or known.syntax not in _TEXTS or not _decides(value):
                return None
            pairs.append((known.name, value.lower()))
        named.append(tuple(sorted(pairs)))
    return tuple(named)


def _decides(value: str) -> bool:
    """Whether the text is the value: plain ASCII, and no hexadecimal form of it (RFC 4514, 2.4)."""
    return value != "" and value.isascii() and value.isprintable() and not value.startswith("#")


def well_formed(dn: str) -> bool:
    """Whether the text is a DN."""
    return same(dn, dn)


def under(dn: Dn, base: Dn) -> bool:
    """Whether ``dn`` is ``base`` or stands below it."""
    return not base or dn[-len(base) :] == base


def _plain(value: str) -> str:
    """The value without escapes, its spaces squeezed."""
    kept = value.lstrip(" ")
    stripped = kept.rstrip(" ")
    if stripped.endswith("\\") and kept != stripped:  # an escaped space at the end belongs to the value
        stripped += " "
    plain = _ESCAPES.sub(_unescape, stripped)
    return _SPACES.sub(" ", plain.strip(" "))


def _unescape(match: re.Match[str]) -> str:
    if match[1] is None:
        return match[2]
    return bytes.fromhex(match[1].replace("\\", "")).decode(errors="surrogateescape")
