"""Members: the entries that the DNs and LDAP URLs of ``special_result_attribute`` name, and theirs in turn.

The values come depth first, in the order of each entry, as Postfix finds them by searching for one member after the
other. Here several may be searched for at once. Each is searched for once in a lookup, however often it is named.

A DN that names no entry is skipped with a warning. A URL's host is ignored, as Postfix does: the search goes to the
directory of the table. ``size_limit`` holds for each of these searches by itself.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from urllib.parse import unquote

from vmaild.errors import DataError
from vmaild.lookup import Entry, Scope, Search
from vmaild.tables.query import Query
from vmaild.tables.results import Expansion, Values, is_or_under, one_value, texts
from vmaild.tables.template import Parts

MOST_WORK = 200_000
"""Entries and members that one lookup may come by, each time that it does. Groups that name each other have more ways
through them than anybody can go; a reply has room for a quarter of so many values."""

_ENTRY: list[str] = []
"""Stands for a whole entry among what is still to be followed."""

_Pending = tuple[Entry, list[str] | str, int]

# As libldap reads them (RFC 4516 knows ldap:// alone), in any case.
_URL = re.compile(r"(<?)(?:URL:)?(?:ldaps?|ldapi|cldap|pldap)://(.*)", re.IGNORECASE | re.DOTALL)
_SCOPES = {
    "": Scope.BASE, "base": Scope.BASE, "one": Scope.ONE, "onelevel": Scope.ONE, "sub": Scope.SUB, "subtree": Scope.SUB,
}  # fmt: skip
_ANYTHING = "(objectClass=*)"


def is_url(member: str) -> bool:
    """Whether a special value is an LDAP URL (RFC 4516), not a DN."""
    return _URL.match(member) is not None


def member_search(query: Query, member: str, also: tuple[str, ...] = ()) -> Search | None:
    """The search that brings what a DN or LDAP URL names; None for a URL that asks for no attribute of ours.

    ``also`` is asked for instead where it is not empty (``Group.also``), but by a URL, which says itself what counts.
    Raises DataError for a malformed URL.
    """
    match = _URL.match(member)
    if match is None:
        return query.search(member, Scope.BASE, _ANYTHING, also or query.expansion.attributes)
    enclosed, rest = match[1], match[2]
    if enclosed and not rest.endswith(">"):
        raise DataError(f"malformed URL {member!r}")
    path = rest.removesuffix(">" if enclosed else "").partition("/")[2]
    base, attributes, scope, text, *_ = [unquote(part) for part in path.split("?")] + [""] * 4
    if scope.lower() not in _SCOPES:
        raise DataError(f"malformed URL {member!r}")
    asked = [name for name in attributes.lower().split(",") if name]
    wanted = _in_both(asked, query.expansion) if asked else query.expansion.attributes
    if not wanted:
        return None
    return query.search(base, _SCOPES[scope.lower()], text or _ANYTHING, wanted)


def _in_both(asked: list[str], expansion: Expansion) -> tuple[str, ...]:
    """What a URL and the table ask for, by the more specific name."""
    found: dict[str, None] = {}
    for one in asked:
        for listed in expansion.attributes:
            if is_or_under(one, listed):
                found[listed] = None
            elif is_or_under(listed, one):
                found[one] = None
    return tuple(found)


class Members:
    """The values of ``entries``, and of those that they name, as they become known; ``known`` are those known already.

    ``search`` is for the member that is needed next, None when all is done; hand what it brought to ``receive``.
    ``ask`` gives that search, or one that will be needed later, and never the same twice: these can be made at once.
    """

    def __init__(
        self,
        query: Query,
        key: Parts,
        entries: list[Entry],
        known: dict[str, list[Entry]],
        also: tuple[str, ...] = (),
    ) -> None:
        self.warnings: list[str] = []
        self.search: Search | None = None
        self.needed = ""
        self._known = known
        self._also = also
        self._ahead: deque[str] = deque()
        self._asked: set[str] = set()
        self._query = query
        self._entries = entries
        self._values = Values(query.expansion, key)
        self._work = 0
        # What is still to be followed, the next last: an entry, values of one, or a member and the entry with it.
        self._pending: list[_Pending] = [(entry, _ENTRY, 1) for entry in reversed(entries)]
        self._error: DataError | None = None
        self._advance()

    def ask(self) -> tuple[str, Search] | None:
        """A member that is to be searched for now, None when there is none."""
        if self.search is not None and self.needed not in self._asked:
            self._asked.add(self.needed)
            return self.needed, self.search
        while self.search is not None and self._ahead:
            member = self._ahead.popleft()
            if member in self._known or member in self._asked:
                continue
            try:
                search = member_search(self._query, member, self._also)
            except DataError as error:
                self._fail(error)
                return None
            if search is not None:
                self._asked.add(member)
                return member, search
        return None

    def ask_again(self) -> None:
        """What was asked for and has not come is to be asked for once more."""
        self._ahead.extend(member for member in self._asked if member not in self._known)
        self._asked.clear()

    @property
    def received(self) -> Mapping[str, list[Entry]]:
        """The entries of each member so far."""
        return self._known

    def receive(self, member: str, entries: list[Entry] | DataError) -> None:
        """Go on with what the search for ``member`` brought, or end with what is wrong with it."""
        if isinstance(entries, DataError):
            self._fail(entries)
            return
        self._known[member] = entries
        if member == self.needed:
            self._advance()

    def values(self) -> list[str]:
        """The values, when all is done. Raises the DataError that ended it."""
        if self._error is not None:
            raise self._error
        return self._values.result()

    def _fail(self, error: DataError) -> None:
        self.search, self._error = None, error.with_traceback(None)

    def _advance(self) -> None:
        """Go as far as what is known allows."""
        try:
            self.search = self._next()
        except DataError as error:
            self._fail(error)

    def _next(self) -> Search | None:
        pending = self._pending
        while pending:
            entry, what, depth = pending.pop()
            if what is _ENTRY:
                self._visit(entry, depth)
            elif not isinstance(what, str):
                self._values.take(entry, what)
            elif what in self._known:
                pending += [(found, _ENTRY, depth) for found in reversed(self._checked(entry, what))]
            elif (search := member_search(self._query, what, self._also)) is not None:
                pending.append((entry, what, depth))
                self.needed = what
                return search
        return None

    def _checked(self, entry: Entry, member: str) -> list[Entry]:
        found, limit = self._known[member], self._query.size_limit
        if limit and len(found) > limit:
            raise DataError(f"{entry.dn}: {member}: size_limit of {limit} exceeded")
        if not found and not is_url(member):
            self.warnings.append(f"{entry.dn}: {member} not found, skipped")
        return found

    def _visit(self, entry: Entry, depth: int) -> None:
        expansion = self._query.expansion
        items: list[_Pending] = []
        if expansion.one_value_per_entry:
            items.append((entry, one_value(entry, expansion), depth))
        members: list[str] = []
        for name, follow in expansion.parts(entry):
            if follow:
                named = texts(entry, name)
                members += named
                items += [(entry, member, depth + 1) for member in named]
            elif not expansion.one_value_per_entry:
                items.append((entry, texts(entry, name), depth))
        if members and depth >= expansion.recursion_limit:
            raise DataError(f"{entry.dn}: recursion_limit of {expansion.recursion_limit} exceeded")
        self._work += 1 + len(items)
        if self._work > MOST_WORK:
            raise DataError(f"{self._entries[0].dn}: more than {MOST_WORK} values by way of its members")
        self._ahead.extendleft(member for member in reversed(members) if member not in self._known)
        self._pending += reversed(items)
