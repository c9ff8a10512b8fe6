"""From entries to the values of a result, as ldap_table(5) describes it: which attributes count, and what is followed.

- ``result_attribute``: values are returned, each through ``result_format``.
- ``special_result_attribute``: values are DNs or LDAP URLs; the entries they name are taken in the same way.
- ``leaf_result_attribute``: returned only from entries that have no special attribute.
- ``terminal_result_attribute``: when an entry has one, nothing else of that entry counts.

A DN that names no entry is skipped with a warning. More than ``expansion_limit`` values, or a chain of DNs longer
than ``recursion_limit``, is an error: half a list of recipients is worse than a later one. So is more than one reply
can hold, as soon as that is certain: whoever may write an entry may write any number of values.

A hosted domain's postmaster may write the entries of that domain, ``mailbox`` included, and a delivery agent takes the
path as it is: one that leaves the domain's own directory would file mail in another's (``check_mailbox``).
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Sequence
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

VALUES_LIMIT = 5_000
"""Values and members that one result is made of at most, whatever becomes of them: it is made in one go, which takes
up to 15 ms with a ``result_format``. Postfix takes a thousand addresses for a recipient (postconf(5),
virtual_alias_expansion_limit)."""

_FEW = 8
"""Values that are checked one by one; more of them at once, which takes a sixth of the time."""

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
                yield from texts(entry, name, entry.values(name))


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


def texts(entry: Entry, attribute: str, values: Sequence[bytes]) -> list[str]:
    """The same for all values of an attribute."""
    if len(values) > _FEW and max(map(len, values)) <= VALUE_LIMIT:
        try:
            if not _CONTROL.search(b" ".join(values).decode()):
                return [value.decode() for value in values]
        except UnicodeDecodeError:
            pass
    return [text(entry, attribute, value) for value in values]


def values_of(expansion: Expansion, key: Parts, entries: list[Entry]) -> list[str]:
    """The values that ``entries`` give for ``key``, each once, in order; for a query that follows nothing."""
    if len(entries) == 1 and expansion.is_plain:
        (name,) = expansion.result_attribute
        raw = entries[0].attributes.get(name, ())
        if len(raw) == 1:  # as nearly always
            return [text(entries[0], name, raw[0])] if raw[0] else []
    result = _Result(expansion, key)
    for entry in entries:
        result.add(entry)
    return list(result.values)


def collect(expansion: Expansion, key: Parts, entries: list[Entry]) -> Generator[str, list[Entry] | None, list[str]]:
    """The same for a query that follows DNs and URLs.

    Yields each of them and is sent the entries it names (``None`` or none for one that names nothing).
    """
    result = _Result(expansion, key)
    pending: list[tuple[Entry | str, int]] = [(entry, 1) for entry in reversed(entries)]
    while pending:
        item, depth = pending.pop()
        if isinstance(item, str):
            named = (yield item) or []
            pending += [(entry, depth) for entry in reversed(named)]
            continue
        result.add(item)
        members = list(expansion.followed(item))
        result.look_at(item, len(members))
        if members and depth >= expansion.recursion_limit:
            raise DataError(f"{item.dn}: recursion_limit of {expansion.recursion_limit} exceeded")
        pending += [(member, depth + 1) for member in reversed(members)]
    return list(result.values)


class _Result:
    """The values of a result while it is made."""

    __slots__ = ("_expansion", "_key", "_looked_at", "_size", "values")

    def __init__(self, expansion: Expansion, key: Parts) -> None:
        self._expansion = expansion
        self._key = key
        self.values: dict[str, None] = {}
        self._looked_at = 0
        self._size = -1  # a comma before each value but the first

    def look_at(self, entry: Entry, count: int) -> None:
        """Raise DataError when these would be more than are looked at for one result."""
        self._looked_at += count
        if self._looked_at > VALUES_LIMIT:
            raise DataError(f"{entry.dn}: more than {VALUES_LIMIT} values for one reply")

    def add(self, entry: Entry) -> None:
        """Add the values of an entry. Raises DataError when the result cannot be a reply any more."""
        expansion = self._expansion
        self.look_at(entry, sum(len(entry.values(name)) for name in expansion.returned(entry)))
        found = _values(expansion, entry)
        if expansion.result_format.text != PLAIN:
            expand = expansion.result_format.expand_result
            found = [formatted for value in found if (formatted := expand(Parts.of(value), self._key))]
        added = dict.fromkeys([value for value in found if value and value not in self.values])
        self._size += sum(map(len, added)) + len(added)
        if self._size > VALUE_LIMIT:
            raise DataError(f"{entry.dn}: the values are too long for one reply")
        self.values.update(added)
        if expansion.expansion_limit and len(self.values) > expansion.expansion_limit:
            raise DataError(f"{entry.dn}: expansion_limit of {expansion.expansion_limit} exceeded")


def _values(expansion: Expansion, entry: Entry) -> list[str]:
    found = [value for name in expansion.returned(entry) for value in texts(entry, name, entry.values(name))]
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
