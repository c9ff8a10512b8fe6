"""Lists of lookup tables, ``type:name, type:name``, as Postfix's maps_create(3) splits them.

Words are separated by blanks and commas; ``{...}`` keeps them together. ``proxy:ldap:FILE`` is the table ``ldap:FILE``
asked through proxymap(8).
"""

from __future__ import annotations

from dataclasses import dataclass

SEPARATORS = ", \t\r\n"
"""CHARS_COMMA_SP."""


@dataclass(frozen=True, slots=True)
class TableName:
    """One table: ``text`` as written, ``type`` and ``name`` without ``proxy:``."""

    text: str
    type: str
    name: str
    proxied: bool = False

    @classmethod
    def of(cls, text: str) -> TableName:
        """The table that ``text`` names; a word without a colon has an empty type (a domain or a file)."""
        proxied = text.startswith("proxy:")
        kind, colon, name = text.removeprefix("proxy:").partition(":")
        return cls(text, kind, name, proxied) if colon else cls(text, "", text)

    @property
    def is_ldap(self) -> bool:
        """Whether Postfix reads it through ldap_table(5); ``ldap://...`` is no table but a server."""
        return self.type == "ldap" and not self.name.startswith("//")

    @property
    def is_file(self) -> bool:
        """Whether an ldap: table has a file of its own; else its parameters stand in main.cf (cfg_parser.c)."""
        return self.name.startswith(("/", "."))


def words(value: str) -> list[str]:
    """The words of a list, as mystrtokq(3) with braces."""
    found: list[str] = []
    word, depth = "", 0
    for letter in value:
        if letter in SEPARATORS and depth == 0:
            if word:
                found.append(word)
            word = ""
            continue
        depth = max(0, depth + (letter == "{") - (letter == "}"))
        word += letter
    return [*found, word] if word else found


def table_names(value: str) -> list[TableName]:
    """The tables of a parameter's expanded value, in the order in which they are asked."""
    return [TableName.of(word) for word in words(value)]
