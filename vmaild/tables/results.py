"""From entries to the values of a result, as ldap_table(5) describes it: which attributes count, and what is followed.

- ``result_attribute``: values are returned, each through ``result_format``.
- ``special_result_attribute``: values are DNs or LDAP URLs; the entries they name are taken in the same way.
- ``leaf_result_attribute``: returned only from entries that have no special attribute.
- ``terminal_result_attribute``: when an entry has one, nothing else of that entry counts.

A DN that names no entry is skipped with a warning. More than ``expansion_limit`` values, or a chain of DNs longer
than ``recursion_limit``, is an error: half a list of recipients is worse than a later one.

A hosted domain's postmaster may write the entries of that domain, ``mailbox`` included, and a delivery agent takes the
path as it is: one that leaves the domain's own directory would file mail in another's (``check_mailbox``).
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from urllib.parse import unquote

from vmaild.errors import DataError
from vmaild.lookup import Entry, Scope, Search
from vmaild.tables import dn
from vmaild.tables.filter import fold
from vmaild.tables.template import PLAIN, Parts, Template

# ldap_table(5): recursion_limit's default.
RECURSION_LIMIT = 1000
# A result is one reply: socketmap_table(5) allows 100,000 bytes for it, "OK " included.
VALUE_LIMIT = 100_000 - len("OK ")

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_URL = re.compile(r"ldaps?://", re.IGNORECASE)
_SCOPES = {"": Scope.BASE, "base": Scope.BASE, "one": Scope.ONE, "sub": Scope.SUB}


@dataclass(frozen=True, slots=True)
class Expansion:
    """Which values of the entries found make the result. Attribute names are lower case."""

    result_attribute: tuple[str, ...]
    special_result_attribute: tuple[str, ...] = ()
    leaf_result_attribute: tuple[str, ...] = ()
    terminal_result_attribute: tuple[str, ...] = ()
    result_format: Template = Template("%s")  # noqa: RUF009 - a Template never changes
    expansion_limit: int = 0
    """Most values, 0 for no limit."""
    recursion_limit: int = RECURSION_LIMIT
    """Longest chain of DNs and URLs, the first search included."""
    one_value_per_entry: bool = False
    """Of several values of an entry return only one: that in its RDN, else the first."""
    is_empty: bool = field(init=False)
    """Whether the query has no result, and only tells that an entry is there."""
    is_plain: bool = field(init=False)
    """Whether the values of one attribute are returned as they are, and nothing else."""

    @property
    def attributes(self) -> tuple[str, ...]:
        """Every attribute to ask for."""
        return (
            *self.terminal_result_attribute,
            *self.leaf_result_attribute,
            *self.result_attribute,
            *self.special_result_attribute,
        )

    def __post_init__(self) -> None:
        others = self.special_result_attribute or self.leaf_result_attribute or self.terminal_result_attribute
        object.__setattr__(self, "is_empty", not (self.result_attribute or others))
        plain = len(self.result_attribute) == 1 and not others and self.result_format.text == PLAIN
        object.__setattr__(self, "is_plain", plain)

    def returned(self, entry: Entry) -> tuple[str, ...]:
        """The attributes of ``entry`` whose values belong to the result."""
        if any(entry.values(name) for name in self.terminal_result_attribute):
            return self.terminal_result_attribute
        if any(entry.values(name) for name in self.special_result_attribute):
            return self.result_attribute
        return (*self.leaf_result_attribute, *self.result_attribute)

    def followed(self, entry: Entry) -> Iterator[str]:
        """The DNs and URLs of ``entry`` that are to be followed."""
        if not any(entry.values(name) for name in self.terminal_result_attribute):
            for name in self.special_result_attribute:
                for value in entry.values(name):
                    yield text(entry, name, value)


def text(entry: Entry, attribute: str, value: bytes) -> str:
    """``value`` as text. Raises DataError for what must never reach Postfix or a log as it is."""
    try:
        decoded = value.decode()
    except UnicodeDecodeError:
        raise DataError(f"{entry.dn}: {attribute} is not UTF-8") from None
    if _CONTROL.search(decoded):
        raise DataError(f"{entry.dn}: {attribute} has a control character")
    if len(value) > VALUE_LIMIT:
        raise DataError(f"{entry.dn}: {attribute} has {len(value)} bytes")
    return decoded


def values_of(expansion: Expansion, key: Parts, entries: list[Entry]) -> list[str]:
    """The values that ``entries`` give for ``key``, each once, in order; for a query that follows nothing."""
    if len(entries) == 1 and expansion.is_plain:
        (name,) = expansion.result_attribute
        raw = entries[0].attributes.get(name, ())
        if len(raw) == 1:  # as nearly always
            return [text(entries[0], name, raw[0])] if raw[0] else []
    values: dict[str, None] = {}
    for entry in entries:
        _add(values, expansion, key, entry)
    return _within_limit(values, entries)


def collect(expansion: Expansion, key: Parts, entries: list[Entry]) -> Generator[str, list[Entry] | None, list[str]]:
    """The same for a query that follows DNs and URLs.

    Yields each of them and is sent the entries it names (``None`` or none for one that names nothing).
    """
    values: dict[str, None] = {}
    pending: list[tuple[Entry | str, int]] = [(entry, 1) for entry in reversed(entries)]
    while pending:
        item, depth = pending.pop()
        if isinstance(item, str):
            named = (yield item) or []
            pending += [(entry, depth) for entry in reversed(named)]
            continue
        _add(values, expansion, key, item)
        members = list(expansion.followed(item))
        if members and depth >= expansion.recursion_limit:
            raise DataError(f"{item.dn}: recursion_limit of {expansion.recursion_limit} exceeded")
        pending += [(member, depth + 1) for member in reversed(members)]
    return _within_limit(values, entries)


def _add(values: dict[str, None], expansion: Expansion, key: Parts, entry: Entry) -> None:
    plain = expansion.result_format.text == PLAIN
    for value in _values(expansion, entry):
        if formatted := value if plain else expansion.result_format.expand_result(Parts.of(value), key):
            values[formatted] = None
    if expansion.expansion_limit and len(values) > expansion.expansion_limit:
        raise DataError(f"{entry.dn}: expansion_limit of {expansion.expansion_limit} exceeded")


def _within_limit(values: dict[str, None], entries: list[Entry]) -> list[str]:
    if sum(map(len, values)) + len(values) > VALUE_LIMIT:
        raise DataError(f"{entries[0].dn}: {len(values)} values are too long for one reply")
    return list(values)


def _values(expansion: Expansion, entry: Entry) -> list[str]:
    found = [text(entry, name, value) for name in expansion.returned(entry) for value in entry.values(name)]
    if len(found) > 1 and expansion.one_value_per_entry:
        return [_in_rdn(entry, found)]
    return found


def _in_rdn(entry: Entry, values: list[str]) -> str:
    try:
        rdn = {value for _, value in dn.parse(entry.dn)[0]}
    except ValueError:
        rdn = set()
    return next((value for value in values if fold(value) in rdn), values[0])


def is_url(member: str) -> bool:
    """Whether a special value is an LDAP URL (RFC 4516), not a DN."""
    return _URL.match(member) is not None


def member_search(expansion: Expansion, member: str) -> Search | None:
    """The search that brings what a DN or LDAP URL names; None for a URL that asks for no attribute of ours.

    The host of a URL is ignored, as Postfix does: the search goes to the configured directory. Raises DataError
    for a malformed URL.
    """
    if not is_url(member):
        return Search(member, Scope.BASE, "(objectClass=*)", expansion.attributes)
    _, _, rest = member.partition("://")
    base, attributes, scope, query, *_ = [unquote(part) for part in rest.partition("/")[2].split("?")] + [""] * 4
    if scope.lower() not in _SCOPES:
        raise DataError(f"malformed URL {member!r}")
    named = {name.strip().lower() for name in attributes.split(",") if name.strip()}
    wanted = tuple(name for name in expansion.attributes if not named or name in named)
    if not wanted:
        return None
    return Search(base, _SCOPES[scope.lower()], query or "(objectClass=*)", wanted)


def check_mailbox(values: list[str], domain: str, entry: str) -> None:
    """Raise DataError unless ``values`` is one maildir path below ``domain``: relative, ``/`` at its end, no ``..``.

    Control characters are refused for every map, before this. ``entry`` is the DN to name. An account without a
    mailbox is an error too: it exists, so its mail must wait, not bounce.
    """
    if len(values) != 1:
        raise DataError(f"{entry}: {'no mailbox' if not values else 'more than one mailbox'}")
    path = values[0]
    if path.startswith("/"):
        problem = "is not relative"
    elif not path.endswith("/"):
        problem = "does not end in /"
    elif ".." in path:
        problem = "holds .."
    elif not path.lower().startswith(f"{domain}/"):
        problem = "does not begin with the domain of its address"
    else:
        return
    raise DataError(f"{entry}: mailbox {path!r} {problem}")
