"""From entries to the values of a result, as ldap_table(5) describes it: which attributes count, and what is followed.

- ``result_attribute``: values are returned, each through ``result_format``.
- ``special_result_attribute``: values are DNs or LDAP URLs; the entries they name are taken in the same way
  (``vmaild.tables.members``).
- ``leaf_result_attribute``: returned only from entries that have no special attribute.
- ``terminal_result_attribute``: when an entry has one, nothing else of that entry counts.

An attribute in several lists belongs to the first of terminal, leaf, result, special. One with options
(``maildrop;lang-de``, RFC 4512, 2.5) counts as the one without; but what tells that an entry is terminal, or has a
special attribute, is the name as it is listed. Values come in the entry's order, as the server sends it. Each entry is
judged by itself: Postfix's own code carries the state of one entry over to the next, which the manual does not say.

More than ``expansion_limit`` values, or a chain of DNs longer than ``recursion_limit``, is an error: half a list of
recipients is worse than a later one. A value that comes twice is counted twice, and returned once.

A hosted domain's postmaster may write the entries of that domain, ``mailbox`` included, and a delivery agent takes the
path as it is: one that leaves the domain's own directory would file mail in another's (``check_mailbox``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from vmaild.errors import DataError
from vmaild.lookup import Entry
from vmaild.tables import dn
from vmaild.tables.filter import fold
from vmaild.tables.template import PLAIN, Parts, Template

RECURSION_LIMIT = 1000
"""ldap_table(5): recursion_limit's default."""
VALUE_LIMIT = 100_000 - len("OK ")
"""A result is one reply: socketmap_table(5) allows 100,000 bytes for it, "OK " included."""

VALUES_LIMIT = 5_000
"""Values that one result is made of at most by default, whatever becomes of them, members apart: it is made in one go,
which takes up to 15 ms with a ``result_format``. Postfix takes a thousand addresses for a recipient (postconf(5),
virtual_alias_expansion_limit)."""

_FEW = 8
"""Values that are checked one by one; more of them at once, which takes a sixth of the time."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_PART_OF_LIST = re.compile(r";range=(?!0-\*)", re.IGNORECASE)
"""Active Directory sends the first 1,500 values of a longer list so (MS-ADTS, 3.1.1.3.1.3.3); "-*" is its end."""


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
    most_values: int = VALUES_LIMIT
    """Values that a result is made of, members apart."""
    exists: bool = False
    """Any entry answers the key itself; no attribute counts."""
    is_empty: bool = field(init=False)
    """Whether the query has no result, and only tells that an entry is there."""
    is_plain: bool = field(init=False)
    """Whether the values of one attribute are returned as they are, and nothing else."""
    places: dict[str, int] = field(init=False)
    """The place of each listed attribute in ``attributes``: the first that it belongs to."""

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
        object.__setattr__(self, "is_empty", not (self.result_attribute or others or self.exists))
        plain = len(self.result_attribute) == 1 and not others and self.result_format.text == PLAIN
        object.__setattr__(self, "is_plain", plain)
        object.__setattr__(self, "places", {name: self._place(name) for name in self.attributes})

    def _place(self, description: str) -> int:
        """Where an attribute stands in ``attributes``, with options or without; behind the last when it does not."""
        for place, name in enumerate(self.attributes):
            if is_or_under(name, description):
                return place
        return len(self.attributes)

    def parts(self, entry: Entry) -> Iterator[tuple[str, bool]]:
        """The attributes of ``entry`` that count, in its order, and whether their values are to be followed."""
        shown = entry.attributes
        terminal = len(self.terminal_result_attribute)
        leaf = terminal + len(self.leaf_result_attribute)
        special = leaf + len(self.result_attribute)
        is_terminal = any(shown.get(name) for name in self.terminal_result_attribute)
        is_leaf = not any(shown.get(name) for name in self.special_result_attribute)
        for name in shown:
            place = self.places.get(name)
            if place is None:
                place = self._place(name) if ";" in name else special
                if place >= special and not (";" in name and place < len(self.attributes)):
                    continue
            if is_terminal:
                if place < terminal:
                    yield name, False
            elif place >= special:
                yield name, True
            elif place >= leaf or is_leaf:
                yield name, False


def is_or_under(name: str, description: str) -> bool:
    """Whether ``description`` is ``name``, or that with options; both lower case."""
    return description == name or description.startswith(f"{name};")


def texts(entry: Entry, name: str) -> list[str]:
    """The values of an attribute as text, without empty ones. Raises DataError as ``text`` does."""
    values = entry.attributes[name]
    if not values:
        raise DataError(f"{entry.dn}: the values of {name} could not be read")
    if ";" in name and _PART_OF_LIST.search(name):
        raise DataError(f"{entry.dn}: {name} is a part of a list that is too long for one answer of the server")
    if len(values) > _FEW and max(map(len, values)) <= VALUE_LIMIT:
        try:
            if not _CONTROL.search(b" ".join(values).decode()):
                return [value.decode() for value in values if value]
        except UnicodeDecodeError:
            pass
    return [text(entry, name, value) for value in values if value]


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


class Values:
    """The values of a result as they are put together, each once; ``expansion_limit`` counts those that come again."""

    __slots__ = ("_expansion", "_found", "_key", "_plain", "_size", "_taken")

    def __init__(self, expansion: Expansion, key: Parts) -> None:
        self._expansion = expansion
        self._key = key
        self._plain = expansion.result_format.text == PLAIN
        self._found: dict[str, None] = {}
        self._taken = 0
        self._size = -1  # a comma before each value but the first

    def take(self, entry: Entry, values: list[str]) -> None:
        """Add the ``values`` of an attribute of ``entry``. Raises DataError past a limit."""
        expansion = self._expansion
        for value in values:
            formatted = value if self._plain else expansion.result_format.expand_result(Parts.of(value), self._key)
            if formatted:
                if formatted not in self._found:
                    self._found[formatted] = None
                    self._size += len(formatted) + 1
                self._taken += 1
                if expansion.expansion_limit and self._taken > expansion.expansion_limit:
                    raise DataError(f"{entry.dn}: expansion_limit of {expansion.expansion_limit} exceeded")
        # As soon as that is certain: who may write an entry may write any number of values.
        if self._size > VALUE_LIMIT:
            raise DataError(f"{entry.dn}: the values are too long for one reply")

    def result(self) -> list[str]:
        """All of them."""
        return list(self._found)


def values_of(expansion: Expansion, key: Parts, entries: list[Entry]) -> list[str]:
    """The values that ``entries`` give for ``key``, each once, in order; for a query that follows nothing."""
    if len(entries) == 1 and expansion.is_plain:
        shown = entries[0].attributes
        (name,) = expansion.result_attribute
        raw = shown.get(name, ())
        if len(raw) == 1 and ";" not in "".join(shown):  # as nearly always
            return [text(entries[0], name, raw[0])] if raw[0] else []
    values = Values(expansion, key)
    looked_at = 0
    for entry in entries:
        names = [name for name, _ in expansion.parts(entry)]
        looked_at += sum(len(entry.attributes[name]) for name in names)
        if looked_at > expansion.most_values:
            raise DataError(f"{entry.dn}: more than {expansion.most_values} values for one reply")
        if expansion.one_value_per_entry:
            values.take(entry, one_value(entry, expansion))
        else:
            for name in names:
                values.take(entry, texts(entry, name))
    return values.result()


def one_value(entry: Entry, expansion: Expansion) -> list[str]:
    """Of the values that ``entry`` returns the one in its RDN, else the first; none when there is none."""
    values = [value for name, follow in expansion.parts(entry) if not follow for value in texts(entry, name)]
    if len(values) < 2:
        return values
    try:
        rdn = {value for _, value in dn.parse(entry.dn)[0]}
    except ValueError:
        rdn = set()
    return [next((value for value in values if fold(value) in rdn), values[0])]


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
