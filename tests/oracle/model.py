"""dict_ldap.c of Postfix 3.7 told in Python: what a table file answers, and what it would with some differences.

``Model.answer(key, switches)`` is Postfix's answer when ``switches`` is empty, which the tests hold against the real
one. Each name of ``differences.MEANT`` and ``KNOWN`` changes one thing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from tests.oracle.answer import TEMP, Answer
from tests.oracle.table_files import Settings

Attributes = list[tuple[str, list[str]]]
"""An entry's attributes in the server's order, each with its values."""

Find = Callable[[str, str, str, Sequence[str]], "list[Attributes] | None"]
"""A search: base, scope, filter, attributes. None when the base is not there; raises ``LookupError`` when it fails."""

_COMMA_BLANK = re.compile(r"[,\s]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_URL = re.compile(r"<?(?:URL:)?(?:ldaps?|ldapi|cldap|pldap)://(?P<rest>.*?)>?", re.IGNORECASE | re.DOTALL)
DEFAULT_FILTER = "(mailacceptinggeneralid=%s)"

_URL_SCOPES = {"": "base", "base": "base", "one": "one", "onelevel": "one", "sub": "sub", "subtree": "sub"}


class _Failed(Exception):
    """The lookup fails: DICT_ERR_RETRY."""


@dataclass(slots=True)
class Model:
    """A table: its settings as written, and how to search."""

    settings: Settings
    find: Find

    def answer(self, key: str, switches: frozenset[str] = frozenset()) -> Answer:
        """The answer to ``key``; a byte that is not UTF-8 is a surrogate in it."""
        if not key.isprintable() and any("\udc80" <= letter <= "\udcff" for letter in key):
            return None
        key = key.lower() if key.isascii() else key.casefold()
        if not self._domain_fits(key, switches):
            return None
        base = self.expand(self.settings.get("search_base", ""), key, None, _quote_dn, switches)
        text = self.expand(self.settings.get("query_filter", DEFAULT_FILTER), key, None, _quote_filter, switches)
        if base is None or text is None:
            return None
        lookup = _Lookup(self, key, switches)
        try:
            entries = self.search(base, self.settings.get("scope", "sub").lower(), text, self.lists[3])
            if entries is None:
                return None if re.search("%[^%]", self.settings.get("search_base", "")) else TEMP
            lookup.entries(entries, 1)
        except (_Failed, LookupError):
            return TEMP
        values = list(dict.fromkeys(lookup.values)) if "each value once" in switches else lookup.values
        return ",".join(values) or None

    @property
    def lists(self) -> tuple[int, int, int, list[str]]:
        """Numbers of terminal, terminal and leaf, and of these and regular attributes; and all of them in order."""
        names: list[str] = []
        ends = []
        for name in ("terminal_result_attribute", "leaf_result_attribute", "result_attribute"):
            names += _words(self.settings.get(name, "maildrop" if name == "result_attribute" else ""))
            ends.append(len(names))
        return ends[0], ends[1], ends[2], [*names, *_words(self.settings.get("special_result_attribute", ""))]

    def number(self, name: str, default: int) -> int:
        """A limit."""
        return int(self.settings.get(name, default))

    def search(
        self, base: str, scope: str, text: str, attributes: list[str], *, limited: bool = True
    ) -> list[Attributes] | None:
        """The entries; fails past size_limit."""
        found = self.find(base, scope, text, attributes)
        limit = self.number("size_limit", self.number("expansion_limit", 0))
        if limited and found is not None and limit and len(found) > limit:
            raise _Failed
        return found

    def _domain_fits(self, key: str, switches: frozenset[str]) -> bool:
        patterns = _words(self.settings.get("domain", ""))
        if not patterns:
            return True
        localpart, at, domain = key.rpartition("@")
        if not at or not (localpart or "@domain within domain" in switches):
            return False
        for pattern in patterns:
            name = pattern.lstrip("!").casefold()
            if name == domain.casefold():
                return (len(pattern) - len(pattern.lstrip("!"))) % 2 == 0
        return False

    def _needs(self) -> tuple[str, str]:
        """The letters of all query templates together, and of the result template (db_common.c keeps one set)."""
        query = self.settings.get("search_base", "") + self.settings.get("query_filter", "(x=%s)")
        letters = re.findall("%(.)", query, re.DOTALL)
        return "".join(letters), "".join(re.findall("%(.)", self.result_format, re.DOTALL))

    @property
    def result_format(self) -> str:
        """result_format, or by its old name."""
        return self.settings.get("result_format") or self.settings.get("result_filter", "%s")

    def expand(
        self, template: str, value: str, key: str | None, quote: Callable[[str], str], switches: frozenset[str]
    ) -> str | None:
        """db_common_expand: a query template without ``key``, else a result template for the value."""
        if not value:
            return None
        query, result = self._needs()
        of_key = "".join(c for c in result if c in "SUD123456789")
        key_letters = query + of_key
        parts = _Parts.of(value)
        keyed = _Parts.of(key) if key is not None else parts
        if key is not None and (("d" in result and not parts.domain) or ("u" in result and parts.empty_localpart)):
            return None
        if not keyed.domain and any(c in "dD123456789" for c in key_letters):
            return None
        if keyed.empty_localpart and any(c in "uU" for c in key_letters):
            return None
        labels = _split(keyed.domain or "", empty="empty labels count" in switches)
        if max((int(letter) for letter in key_letters if letter.isdigit()), default=0) > len(labels):
            return None
        return _filled(template, parts, keyed, labels, quote)


def _split(domain: str, *, empty: bool) -> list[str]:
    """argv_split(domain, "."): empty labels are skipped."""
    labels = domain.split(".")
    if empty:
        return labels[len(labels) - labels[::-1].index("") :] if "" in labels else labels
    return [label for label in labels if label]


@dataclass(slots=True)
class _Parts:
    text: str
    localpart: str
    domain: str | None
    empty_localpart: bool

    @classmethod
    def of(cls, text: str) -> _Parts:
        localpart, at, domain = text.rpartition("@")
        return cls(text, localpart if at else text, domain if at else None, bool(at) and not localpart)


def _filled(template: str, value: _Parts, key: _Parts, labels: list[str], quote: Callable[[str], str]) -> str:
    def insert(match: re.Match[str]) -> str:
        letter = match[1]
        if letter == "%":
            return "%"
        if letter.isdigit():
            return quote(labels[-int(letter)])
        of = value if letter.islower() else key
        return quote({"s": of.text, "u": of.localpart, "d": of.domain or ""}[letter.lower()])

    return re.sub("%(.)", insert, template, flags=re.DOTALL)


@dataclass(slots=True)
class _Lookup:
    """dict_ldap_get_values with its recursion."""

    model: Model
    key: str
    switches: frozenset[str]
    values: list[str] = field(default_factory=list)
    expansion: int = 0

    def entries(self, found: list[Attributes], depth: int) -> None:
        terminal, leaf, regular, names = self.model.lists
        is_leaf, is_terminal = True, False
        for entry in found:
            if "each entry by itself" in self.switches:
                is_leaf, is_terminal = True, False
            if any(_has(entry, name) for name in names[:terminal]):
                is_terminal = True
            if not is_terminal and leaf > terminal and any(_has(entry, name) for name in names[regular:]):
                is_leaf = False
            for attribute, values in entry:
                if ";" in attribute and "no attribute options" in self.switches:
                    continue
                for place in self._places(attribute):
                    if place < regular or is_terminal:
                        if not ((is_terminal and place >= terminal) or (not is_leaf and place < leaf)):
                            self._take(values)
                    elif place < len(names):
                        self._follow(values, depth)

    def _places(self, attribute: str) -> list[int]:
        """Where the attribute stands in the lists: its first place, all of them with the switch for that."""
        names = self.model.lists[3]
        places = [number for number, name in enumerate(names) if _is_or_under(name, attribute)] or [len(names)]
        return places if "an attribute in two lists counts in each" in self.switches else places[:1]

    def _take(self, values: list[str]) -> None:
        limit = self.model.number("expansion_limit", 0)
        for value in values:
            if "unsafe values fail" in self.switches and _CONTROL.search(value):
                raise _Failed
            text = self.model.expand(self.model.result_format, value.partition("\0")[0], self.key, str, self.switches)
            if text is not None:
                self.values.append(text)
                by_value = "limits of members" in self.switches
                self.expansion = len(set(self.values)) if by_value else self.expansion + 1
                if limit and self.expansion > limit:
                    raise _Failed

    def _follow(self, values: list[str], depth: int) -> None:
        if depth >= self.model.number("recursion_limit", 1000):
            raise _Failed
        for value in values:
            if "few URLs" in self.switches and not re.match("ldaps?://", value, re.IGNORECASE) and _URL.match(value):
                raise _Failed
            if _URL.match(value):
                found = self._by_url(value)
            else:
                found = self._search(value, "base", "(objectclass=*)", self.model.lists[3])
            if found is not None:
                self.entries(found, depth + 1)

    def _by_url(self, url: str) -> list[Attributes] | None:
        match = _URL.fullmatch(url)
        assert match is not None
        rest = match["rest"].partition("/")[2]
        base, attributes, scope, text, *_ = [_unescaped(part) for part in rest.split("?")] + [""] * 4
        if scope.lower() not in (("", "base", "one", "sub") if "few URLs" in self.switches else _URL_SCOPES):
            raise _Failed
        asked = [name for name in attributes.split(",") if name]
        names = self.model.lists[3]
        if asked:
            wanted = list(_wanted(asked, names))
            if not wanted:
                return None
        return self._search(base, _URL_SCOPES[scope.lower()], text or "(objectclass=*)", wanted if asked else names)

    def _search(self, base: str, scope: str, text: str, attributes: list[str]) -> list[Attributes] | None:
        return self.model.search(base, scope, text, attributes, limited="limits of members" not in self.switches)


def _wanted(asked: list[str], names: list[str]) -> Iterator[str]:
    for one in asked:
        for other in names:
            if _is_or_under(one, other):
                yield other
            elif _is_or_under(other, one):
                yield one


def _has(entry: Attributes, name: str) -> bool:
    return any(attribute.lower() == name.lower() and values for attribute, values in entry)


def _is_or_under(name: str, attribute: str) -> bool:
    """attrdesc_subtype: whether ``attribute`` is ``name``, or that with options."""
    return attribute.lower() == name.lower() or attribute.lower().startswith(f"{name.lower()};")


def _words(text: str) -> list[str]:
    return [word for word in _COMMA_BLANK.split(text) if word]


def _unescaped(text: str) -> str:
    return re.sub("%([0-9A-Fa-f]{2})", lambda match: chr(int(match[1], 16)), text)


def _quote_dn(text: str) -> str:
    return re.sub(r'[ \t"#+,;<>\\]', lambda match: f"\\{ord(match[0]):02X}", text)


def _quote_filter(text: str) -> str:
    return re.sub(r"[*()\\]", lambda match: f"\\{ord(match[0]):02X}", text)
