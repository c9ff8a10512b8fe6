"""Directories with what is odd in real ones, from a seed.

Below ``BASE`` stand some domains and ``ou=lists``; people and aliases with several values, groups that name members by
DN and by URL, nested, in loops, dangling, with several entries for one address, attribute options, and values and DNs
with characters that want quoting. Everything is an organizationalRole with extensibleObject, so that any attribute of
the schema may stand in any entry.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from random import Random

BASE = "o=oracle"
LISTS = f"ou=lists,{BASE}"
DOMAINS = ("one.example", "two.example", "sub.one.example", "example")

LOCALPARTS = (
    "ann", "bob", "eve", "o'neil", "a+b", "a*b", "p(q)r", "back\\slash", "x=y", "a,b", "#hash", "two words",
    "semi;colon", "<angle>", "50%", "dollar$", "ünï", "@at", "quo\"te", "dot.dot", "-dash", "_under", "postmaster",
)  # fmt: skip
ODD_NAMES = (
    "plain",
    "a, b",
    "x+y",
    " lead",
    "trail ",
    "#first",
    'quo"te',
    "back\\slash",
    "se;mi",
    "<lt",
    "Ünï",
    "e=mc2",
)


@dataclass(slots=True)
class Node:
    """One entry: its DN as LDIF wants it, and (attribute, value) pairs in order."""

    dn: str
    pairs: list[tuple[str, str]] = field(default_factory=list)

    def ldif(self) -> str:
        """The entry as LDIF; values in base64 where they need it."""
        lines = [_line("dn", self.dn)]
        lines += [_line(name, value) for name, value in self.pairs]
        return "\n".join([*lines, "", ""])


@dataclass(slots=True)
class Tree:
    """A directory's entries, and the addresses that were put into it."""

    nodes: list[Node] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)

    def ldif(self) -> str:
        """All of it, parents first."""
        return "".join(node.ldif() for node in self.nodes)


def rdn_quote(value: str) -> str:
    """A value for a DN (RFC 4514)."""
    return "".join(f"\\{ord(c):02x}" if c in ',+"\\<>;=#' or c in " " else c for c in value)


def make_tree(random: Random, people: int = 60, groups: int = 30) -> Tree:
    """A tree from ``random``."""
    tree = Tree([_node(BASE, "organization", o="oracle"), _node(LISTS, "organizationalUnit", ou="lists")])
    for domain in DOMAINS:
        tree.nodes.append(_node(f"o={domain},{BASE}", "organization", o=domain))
    placed = [_person(random, tree, number) for number in range(people)]
    for domain in DOMAINS:
        dn = f"cn=all {domain},{LISTS}"
        _place(
            tree, Node(dn, [*_role(dn, f"all {domain}").pairs, ("mail", f"@{domain}"), ("maildrop", "all@box.example")])
        )
    for number in range(groups):
        placed.append(_group(random, tree, number, placed))
    return tree


def _person(random: Random, tree: Tree, number: int) -> str:
    domain = random.choice(DOMAINS)
    name = f"{random.choice(ODD_NAMES)}{number}"
    dn = f"cn={rdn_quote(name)},{random.choice([LISTS, f'o={domain},{BASE}'])}"
    node = _role(dn, name)
    # The same address now and then in two entries, and several in one.
    fresh = f"{random.choice(LOCALPARTS)}@{domain}"
    address = random.choice(tree.addresses) if tree.addresses and random.random() < 0.1 else fresh
    node.pairs += [("mail", address)]
    if random.random() < 0.2:
        node.pairs.append(("mail", f"alias{number}@{random.choice(DOMAINS)}"))
    for _ in range(random.choice((0, 1, 1, 2, 3))):
        node.pairs.append((_optioned(random, "maildrop"), _target(random, number)))
    if random.random() < 0.4:
        node.pairs.append(
            ("info", random.choice(("leaf-info", "Ünïcode info", "with, comma", "x@y@z.example", "1%2", "bell\a")))
        )
    if random.random() < 0.2:
        node.pairs.append(("description", f"end-{number}"))
    names = list(dict.fromkeys(name for name, _ in node.pairs))
    random.shuffle(names)
    node.pairs[:] = _once(sorted(node.pairs, key=lambda pair: names.index(pair[0])))
    _place(tree, node)
    return dn


def _group(random: Random, tree: Tree, number: int, placed: list[str]) -> str:
    dn = f"cn=group{number},{LISTS}"
    node = _role(dn, f"group{number}")
    node.pairs.append(("mail", f"group{number}@{random.choice(DOMAINS)}"))
    for _ in range(random.choice((1, 2, 3, 6))):
        node.pairs.append(("member", _member(random, dn, placed)))
    for _ in range(random.choice((0, 0, 1, 2))):
        node.pairs.append(("labeledURI", _url(random)))
    if random.random() < 0.3:
        node.pairs.append(("maildrop", f"drop-{number}@box.example"))
    if random.random() < 0.3:
        node.pairs.append(("info", "group-info"))
    if random.random() < 0.15:
        node.pairs.append(("description", f"ends-{number}"))
    node.pairs[:] = _once(node.pairs)
    _place(tree, node)
    return dn


def _member(random: Random, own: str, placed: list[str]) -> str:
    kind = random.random()
    if kind < 0.08:
        return f"cn=missing{random.randrange(5)},{LISTS}"
    if kind < 0.12:
        return own
    if kind < 0.2:
        return f"cn=group{random.randrange(30)},{LISTS}"
    return random.choice(placed)


def _url(random: Random) -> str:
    base = random.choice((LISTS, BASE, f"o=one.example,{BASE}", f"cn=absent,{BASE}"))
    attributes = random.choice(
        ("", "mail", "maildrop", "mail,maildrop", "MAILDROP", "cn", "info,member", "maildrop;lang-de")
    )
    scope = random.choice(("", "base", "one", "sub", "sub", "subtree", "onelevel"))
    text = random.choice(("", "(cn=plain*)", "(mail=ann@*)", "cn=group1", "(mail=bob@one.example)"))
    url = f"ldap:///{base}?{attributes}?{scope}?{text}"
    kind = random.random()
    if kind < 0.05:
        return f"<{url}>"
    if kind < 0.1:
        return f"URL:{url}"
    if kind < 0.15:
        return url.replace("ldap:", random.choice(("ldapi:", "ldaps:", "LDAP:")))
    return "ldap:///x?y?nonsense?(" if kind < 0.18 else url.rstrip("?")


def _target(random: Random, number: int) -> str:
    odd = random.choice([name for name in LOCALPARTS if name.isascii()])
    plain = (f"box{number}@box.example", f"Box{number}@Box.Example", f"{odd}@box.example", "same@box.example")
    return random.choice((*plain, "plain", "@box.example", "user@", "a,b@box.example"))


def _optioned(random: Random, name: str) -> str:
    return f"{name};lang-de" if random.random() < 0.05 else name


def _role(dn: str, name: str) -> Node:
    classes = [("objectClass", "organizationalRole"), ("objectClass", "extensibleObject")]
    return Node(dn, [*classes, ("cn", name)])


def _node(dn: str, kind: str, **values: str) -> Node:
    return Node(dn, [("objectClass", kind), *values.items()])


def _once(pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Each value of an attribute once, as slapd compares them, and what an IA5 attribute cannot hold left out."""
    kept: dict[tuple[str, str], tuple[str, str]] = {}
    for name, value in pairs:
        ia5 = name.partition(";")[0] in ("mail", "maildrop")
        if not ia5 or value.isascii():
            kept.setdefault((name.lower(), value.casefold()), (name, value))
    return list(kept.values())


def _place(tree: Tree, node: Node) -> None:
    tree.nodes.append(node)
    tree.addresses += [value for name, value in node.pairs if name == "mail"]


def _line(name: str, value: str) -> str:
    plain = value.isascii() and value.isprintable() and value[:1] not in (" ", ":", "<") and not value.endswith(" ")
    return f"{name}: {value}" if plain else f"{name}:: {base64.b64encode(value.encode()).decode()}"
