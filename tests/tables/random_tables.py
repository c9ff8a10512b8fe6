"""Directories, tables and keys made at random from a seed, of all that makes it hard to tell which entry matches what.

Letter case, spaces, umlauts, odd characters; names, supertypes and options of attributes; classes and superclasses;
what an access rule hides (``tests.tables.joins.ACCESS`` goes by the names used here); bases within bases.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from vmaild.tables import dn

BASE = "dc=joins,dc=example"
DOMAINS = ("d1.example", "d2.example", "d3.example")
LOCALPARTS = (
    "k",
    "K",
    "u1",
    "u2",
    "strasse",
    "straße",
    "jürgen",
    "a b",
    "a  b",
    "a*b",
    "a,b",
    "postmaster",
    "#x",
    "a\\b",
)
WORDS = (
    "a",
    "A",
    "first",
    "active",
    "straße",
    "strasse",
    "STRASSE",
    "a b",
    "a  b",
    " a",
    "Ä",
    "ä",
    "x*y",
    "(x)",
    "K",
    "k",
)
PRINTABLE = ("a", "A", "active", "a b", "K", "first")
CLASSES = ("orThing", "orGroup", "orTeam", "orBare")
TEXTS = ("description", "orStatus", "orExact", "orTitle", "orNick", "orCovert", "cn", "ou")
IA5 = ("mail", "mail", "maildrop", "mailbox", "orSecret", "orHidden", "orBlob")
RESULTS = (
    "maildrop", "mail", "cn", "description", "orExact", "orNumber", "orFlag", "rfc822Mailbox", "commonName",
    "maildrop;lang-de", "orTitle", "name", "orSecret", "orHidden", "mailbox",
)  # fmt: skip


@dataclass
class Directory:
    """Entries by DN, with their attributes, below ``base``; and the addresses that were used."""

    base: str
    entries: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    addresses: list[str] = field(default_factory=list)


def directory(made: random.Random, base: str) -> Directory:
    """Two or three domains with units, groups and some dozen entries."""
    whole = Directory(base)
    whole.entries[base] = {"objectClass": ["organizationalUnit"]}
    parents = [base]
    for domain in DOMAINS:
        if domain != "d2.example" or made.random() < 0.7:
            parents += _domain(made, whole, f"o={domain},{base}")
    whole.addresses = [f"{localpart}@{domain}" for localpart in LOCALPARTS for domain in DOMAINS]
    whole.addresses += [f"@{domain}" for domain in DOMAINS]
    plain = [address for address in whole.addresses if address.isascii()]
    whole.addresses = [*made.sample(plain, 3), made.choice(whole.addresses), "k@d1.example"]
    for _ in range(made.randint(15, 35)):
        _entry(made, whole, parents)
    return whole


def _domain(made: random.Random, whole: Directory, name: str) -> list[str]:
    whole.entries[name] = {"objectClass": ["organization"]}
    units = [f"ou={unit},{name}" for unit in ("unit", "veil") if made.random() < 0.6]
    whole.entries.update({unit: {"objectClass": ["organizationalUnit"]} for unit in units})
    return [name, name, *units]


def _entry(made: random.Random, whole: Directory, parents: list[str]) -> None:
    address = _address(made, whole)
    own = [parent for parent in parents if f"o={address.rpartition('@')[2].lower()}," in parent]
    parent = made.choice(own if own and made.random() < 0.8 else parents)
    attributes: dict[str, list[str]] = {"objectClass": [made.choice(CLASSES)]}
    if made.random() < 0.2:
        attributes["objectClass"].append("orMark")
    if made.random() < 0.7:
        attributes["mail"] = [_ascii(address)]
    for _ in range(made.randint(1, 6)):
        _value(made, whole, attributes)
    if made.random() < 0.3:
        addressed = sorted(name for name in whole.entries if name.startswith("mail="))
        named = addressed if addressed and made.random() < 0.6 else sorted(whole.entries)
        attributes["member"] = [made.choice(named) for _ in range(made.randint(1, 3))]
        if made.random() < 0.3:
            attributes["member"].append(f"cn=gone,{parent}")
        attributes["member"] = list(dict.fromkeys(attributes["member"]))
    rdn = _rdn(made, whole)
    for attribute, value in rdn:
        attributes.setdefault(attribute.replace("commonName", "cn"), []).append(value)
    name = f"{'+'.join(f'{attribute}={dn.quote(value)}' for attribute, value in rdn)},{parent}"
    if _squeezed(name) not in map(_squeezed, whole.entries):
        whole.entries[name] = {attribute: _different(values) for attribute, values in attributes.items()}


def _squeezed(name: str) -> str:
    """The name as the server takes two for the same, or coarser."""
    return name.lower().replace("commonname", "cn").replace("\\20\\20", "\\20")


def _value(made: random.Random, whole: Directory, attributes: dict[str, list[str]]) -> None:
    kind = made.random()
    if kind < 0.5:
        name, value = made.choice(IA5), _ascii(_address(made, whole) if made.random() < 0.8 else made.choice(WORDS))
    elif kind < 0.8:
        name, value = made.choice(TEXTS), made.choice(WORDS)
    elif kind < 0.85:
        name, value = "orPrintable", made.choice(PRINTABLE)
    else:
        name, value = made.choice((("orNumber", "7"), ("orNumber", "07"[made.randint(0, 1) :]), ("orFlag", "TRUE")))
        attributes.pop(name, None)
    if made.random() < 0.1 and name not in ("orNumber", "orFlag"):
        name += ";lang-de"
    if name.partition(";")[0] in (
        "mailbox",
        "orFlag",
        "orNumber",
    ):  # one value at most, or two that are the same number
        attributes.pop(name, None)
    attributes.setdefault(name, []).append(value)


def _different(values: list[str]) -> list[str]:
    """The last of those that the server would take for the same."""
    return list({" ".join(value.lower().split()): value for value in values}.values())


def _address(made: random.Random, whole: Directory) -> str:
    address = made.choice(whole.addresses)
    return address.upper() if made.random() < 0.2 else address


def _ascii(text: str) -> str:
    return text.encode("ascii", "ignore").decode() or "x"


def _rdn(made: random.Random, whole: Directory) -> list[tuple[str, str]]:
    number = f"n{made.randint(0, 99)}"
    kind = made.random()
    if kind < 0.3:
        return [("mail", _ascii(_address(made, whole)))]
    if kind < 0.4:
        return [("cn", made.choice(WORDS).strip()), ("ou", number)]
    if kind < 0.5:
        return [("orExact", made.choice(WORDS).strip())]
    if kind < 0.6:
        return [("commonName", made.choice(["postmaster", "Postmaster", "a b"]))]
    return [("cn", made.choice(["e", "search", "noclass", "nodrop", "veil", "team #"]) + number)]


def keys(made: random.Random, whole: Directory, number: int) -> list[str]:
    """Folded keys to look up: of the directory, with extensions, and some that it cannot have."""
    found = []
    used = [value for entry in whole.entries.values() for value in entry.get("mail", ()) if "@" in value]
    for _ in range(number):
        localpart, _, domain = made.choice(used if made.random() < 0.7 else whole.addresses).rpartition("@")
        localpart = localpart or "nobody"
        extension = made.choice(("", "", "", "+x", "+a b"))
        found.append(f"{localpart}{extension}@{domain if made.random() < 0.9 else made.choice(DOMAINS)}".casefold())
    return found


def tables(made: random.Random, whole: Directory) -> list[list[dict[str, Any]]]:
    """One to three tables of one to three queries; some queries stand in several tables."""
    shared = [_query(made, whole) for _ in range(2)]
    return [
        [
            {**(made.choice(shared) if made.random() < 0.4 else _query(made, whole)), **_result(made)}
            for _ in range(count)
        ]
        for count in (made.randint(1, 3) for _ in range(made.randint(1, 3)))
    ]


def _query(made: random.Random, whole: Directory) -> dict[str, Any]:
    domain = f"o=%d,{whole.base}"
    base = made.choices(
        (whole.base, domain, f"ou=unit,{domain}", f"ou=veil,{domain}", f"commonName=postmaster,{domain}",
         f"mail=%s,{domain}", f"cn=a\\,o=%d,{whole.base}", f"ou=gone,{whole.base}"),
        (25, 50, 4, 8, 8, 4, 1, 1),
    )[0]  # fmt: skip
    scope = made.choices(("sub", "one", "base"), (85, 8, 7))[0]
    if base.startswith(("commonName", "mail")):
        scope = "base"
    text = _contest(made, whole) if made.random() < 0.6 else _filter(made, 0)
    return {"search_base": base, "scope": scope, "query_filter": text}


def _contest(made: random.Random, whole: Directory) -> str:
    """A filter for the key that asks for something an entry of the directory has, or nearly has."""
    key = made.choice(("(mail=%s)", "(mail=%s)", "(rfc822Mailbox=%s)"))
    if made.random() < 0.2:
        return key
    entry = made.choice([entry for entry in whole.entries.values() if "mail" in entry])
    attribute = made.choice([name for name in entry if name != "member"])
    item = f"({_renamed(made, attribute)}={_written(made, _varied(made, made.choice(entry[attribute])))})"
    if made.random() < 0.2:
        item = f"({_renamed(made, attribute)}=*)"
    if made.random() < 0.35:
        item = f"(!{item})"
    return f"(&{key}{item})" if made.random() < 0.8 else f"(&(|{item}(cn=a)){key})"


def _renamed(made: random.Random, attribute: str) -> str:
    """Another name that the values of the attribute are found by, or its own."""
    name, _, option = attribute.partition(";")
    others = {
        "mail": ("rfc822Mailbox",), "cn": ("commonName", "name"), "orTitle": ("name", "orHeading"),
        "orNick": ("orTitle", "name"), "orCovert": ("orTitle", "name"), "ou": ("name", "organizationalUnitName"),
    }  # fmt: skip
    name = made.choice((name, *others.get(name, ())))
    return f"{name};{option}" if option and made.random() < 0.3 else name


def _varied(made: random.Random, value: str) -> str:
    superiors = {"orGroup": "orThing", "orTeam": made.choice(("orGroup", "orCompany", "orThing")), "orBare": "top"}
    if value in superiors:
        return made.choice((value, superiors[value]))
    ways = (str, str, str, str.upper, str.lower, str.swapcase, lambda text: text.replace("ß", "ss"))
    return str(made.choice((*ways, lambda text: text.replace(" ", "  "), lambda text: f" {text}"))(value))


def _result(made: random.Random) -> dict[str, Any]:
    keys: dict[str, Any] = {"result_attribute": made.sample(RESULTS, made.choices((0, 1, 2, 4), (1, 6, 4, 2))[0])}
    if made.random() < 0.25:
        keys["special_result_attribute"] = ["member"]
        keys["recursion_limit"] = 3
    if made.random() < 0.1:
        keys["terminal_result_attribute"] = [made.choice(RESULTS)]
    if made.random() < 0.15:
        keys["result_format"] = made.choice(("%s-%u", "%U:%s", "%1.%s", "%4%s"))
    if made.random() < 0.15:
        keys["require_result"] = True
    if made.random() < 0.05:
        keys["size_limit"] = 1
    if made.random() < 0.05:
        keys["localpart"] = ["postmaster", "k"]
    return keys


def _filter(made: random.Random, depth: int) -> str:
    if depth == 0 and made.random() < 0.3:
        return made.choice(("(mail=%s)", f"(&(mail=%s)(objectClass={made.choice(CLASSES[:3])}))"))
    if depth == 0 and made.random() < 0.85:
        key = made.choice(("(mail=%s)", "(mail=%s)", "(rfc822Mailbox=%s)", "(maildrop=%s)", "(cn=%u)", "(orSecret=%s)"))
        parts = [key, *([_filter(made, 1)] if made.random() < 0.7 else [])]
        return f"(&{''.join(parts)})" if len(parts) > 1 else key
    kind = made.random()
    if depth > 2 or kind < 0.65:
        return _item(made)
    if kind < 0.8:
        return f"(!{_filter(made, depth + 1)})"
    parts = [_filter(made, depth + 1) for _ in range(made.randint(1, 3))]
    return f"({made.choice('&|')}{''.join(parts)})"


def _item(made: random.Random) -> str:
    kind = made.random()
    if kind < 0.3:
        known = (*CLASSES, "orCompany", "orMark", "top", "ORTHING", "unknownClass", "1.3.6.1.4.1.32473.1.2.2")
        return f"(objectClass={made.choice(known)})"
    names = (
        *TEXTS, *IA5, "rfc822Mailbox", "commonName", "name", "orHeading", "orPrintable", "unknownAttribute", "orNumber",
        "orFlag", "description;lang-de",
    )  # fmt: skip
    name = made.choice(names)
    if kind < 0.45:
        return f"({name}=*)"
    if kind < 0.5:
        return made.choice(
            ("(orNumber>=5)", "(mail=k*)", "(cn~=a)", "(cn:caseExactMatch:=A)", "(orNumber=7)", "(orFlag=TRUE)")
        )
    value = made.choice(("%s", "%u", "%u", "%d", "x%u", "%1", *(_written(made, word) for word in WORDS)))
    return f"({name}={value})"


def _written(made: random.Random, word: str) -> str:
    """The word as a filter has it, some letters as hex pairs that need not be."""
    letters = [
        "".join(f"\\{byte:02X}" for byte in letter.encode()) if letter in "*()\\" or made.random() < 0.1 else letter
        for letter in word
    ]
    return "".join(letters)
