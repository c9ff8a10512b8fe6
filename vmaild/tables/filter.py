"""Filter templates: the query_filter of ldap_table(5), and quoting a value for it (RFC 4515).

``filter_tree`` reads filters, ``matching`` decides which entries one matches.
"""

from __future__ import annotations

import re

from vmaild.tables.filter_tree import Combined, attributes_of, parse, text_of, without_classes
from vmaild.tables.matching import Test, always, test_of
from vmaild.tables.quoting import pairs_for_all_but
from vmaild.tables.schema import Schema
from vmaild.tables.template import Template

quote = pairs_for_all_but("A-Za-z0-9._@+= -")
"""Makes a value fit for a filter: every byte but plain printable ones as ``\\XX`` (RFC 4515, 3)."""

_SPACES = re.compile(" +")


class FilterTemplate:
    """A query_filter. Raises ValueError for one that is malformed or holds an unknown ``%``."""

    def __init__(self, text: str) -> None:
        self.template = Template(text)
        tree = parse(text)
        self._sent, self._classes = without_classes(tree)
        self.attributes = frozenset(attributes_of(tree))
        """Lower-case names of the attributes that it tests, without options."""

    @property
    def text(self) -> str:
        return self.template.text

    def essence(self) -> str:
        """A filter that matches at least as much, and is easier for a server: without the classes beside a key.

        Only classes are left out, since next to a key they exclude little.
        """
        return text_of(self._sent) if self._classes else self.text

    def tests(self, schema: Schema) -> tuple[Test, Test] | None:
        """What decides whether an entry matches for a key: both must be true. None when that is for the server alone.

        The first is of the ``essence``, the second of the rest.
        """
        sent = test_of(self._sent, schema)
        rest = test_of(Combined("&", self._classes), schema) if self._classes else always
        return None if sent is None or rest is None else (sent, rest)


def joined(filters: list[str]) -> str:
    """One filter for the entries of any of ``filters``, each once."""
    different = list(dict.fromkeys(filters))
    return different[0] if len(different) == 1 else f"(|{''.join(different)})"


def fold(value: bytes | str) -> str:
    """A value as most attributes compare it: case folded, spaces squeezed (caseIgnoreMatch, RFC 4517)."""
    text = value.decode(errors="surrogateescape") if isinstance(value, bytes) else value
    if " " in text:
        text = _SPACES.sub(" ", text.strip(" "))
    return text.casefold()
