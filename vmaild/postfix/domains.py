"""The ``domain`` list of a table: which domains its keys may have (match_list(3), string_list(3)).

A word is a domain, compared as it is and without regard to letter case; ``!`` before it excludes; the first word that
fits decides. ``/FILE`` stands for the words in a file, ``texthash:FILE`` for the keys in one: both are read here, once.
``ldap:FILE`` is a table that is asked for the domain of each key; so is ``proxy:ldap:FILE``. Tables of other kinds are
not asked, and ``$name`` is not expanded by Postfix in a table's own file: both are problems that name the word.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from vmaild.postfix import lines
from vmaild.postfix.tables import TableName, words

OpenFile = Callable[[str], str]
"""The text of a file by its path. Raises OSError or UnicodeDecodeError."""

_INDEXED = ("hash", "btree", "cdb", "lmdb", "dbm", "sdbm")


@dataclass(slots=True)
class DomainList:
    """The domains that may be asked for; ``limited`` is false when there is no list and every key may."""

    limited: bool = False
    names: list[str] = field(default_factory=list)
    excluded: list[str] = field(default_factory=list)
    """Domains that the tables are not asked for."""
    tables: list[str] = field(default_factory=list)
    """The ``ldap:`` tables that are asked for a domain that is in neither, in order."""
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def words(self) -> list[str]:
        """The list once more, with nothing in it that must be read."""
        return [*(f"!{name}" for name in self.excluded), *self.names, *self.tables]


def read_domains(value: str, open_file: OpenFile) -> DomainList:
    """The domains of the list ``value``, which is expanded where Postfix expands it."""
    found = DomainList(limited=bool(words(value)))
    decided: dict[str, bool] = {}
    late = False
    for wanted, name in _patterns(value, True, open_file, found):
        if not TableName.of(name).is_ldap:
            late = late or bool(found.tables and not wanted)
            if not (wanted or found.tables or name in decided):
                found.excluded.append(name)
            decided.setdefault(name, wanted)
        elif not wanted or late:
            found.problems.append(f"{name!r}: only whole domains can be excluded, and before all tables; write them so")
        else:
            found.tables.append(name)
    found.names = [name for name, wanted in decided.items() if wanted]
    if not found.tables:
        found.excluded.clear()
    if found.limited and not (found.names or found.tables or found.problems):
        found.problems.append("leaves no domain over, so Postfix never asks this table")
    return found


def _patterns(value: str, wanted: bool, open_file: OpenFile, found: DomainList) -> Iterator[tuple[bool, str]]:
    for word in words(value):
        if word.startswith("#"):
            found.warnings.append(f"{word!r}: Postfix takes a comment behind a value for the end of the list")
            return
        pattern = word.lstrip("!")
        positive = wanted ^ bool((len(word) - len(pattern)) % 2)
        kind, colon, rest = pattern.partition(":")
        if not pattern:
            found.problems.append(f"{word!r}: nothing follows '!'; Postfix stops there")
        elif pattern.startswith("/"):
            for line in _text(pattern, open_file, found).split("\n"):
                if not line.startswith("#"):
                    yield from _patterns(line, positive, open_file, found)
        elif colon and not pattern.startswith("[") and kind == "texthash":
            yield from ((positive, key) for key in _keys(_text(rest, open_file, found)))
        elif TableName.of(pattern).is_ldap:
            yield positive, pattern
        elif colon and not pattern.startswith("["):
            found.problems.append(f"{word!r}: {_reason(kind)}")
        elif "$" in pattern:
            found.problems.append(f"{word!r}: Postfix expands no $name in a table's own file; write the domains out")
        else:
            yield positive, pattern.casefold()


def _text(path: str, open_file: OpenFile, found: DomainList) -> str:
    try:
        return open_file(path)
    except (OSError, ValueError) as error:  # ValueError: no text, or a NUL in the name
        found.problems.append(f"{path!r}: {getattr(error, 'strerror', None) or error}; Postfix defers mail then")
        return ""


def _keys(text: str) -> Iterator[str]:
    """The keys of a texthash: file that a folded domain can equal."""
    for line in lines.logical_lines(text):
        key = (line.text.split() or [""])[0]
        if not line.stray and key == key.casefold():
            yield key


def _reason(kind: str) -> str:
    if kind == "static":
        return "fits every domain; leave domain out, or write the domains out"
    if kind in _INDEXED:
        return "an indexed file is not read; name its source as texthash:FILE, or write the domains out"
    return f"a {kind}: table is not asked; write the domains out"
