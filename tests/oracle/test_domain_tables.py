"""``domain = ldap:FILE``: the domain of each key is looked up in that table first, as Kolab has it.

The same table files are asked through ``postmap -q`` and through vmaild.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.oracle import vmaild_side
from tests.oracle.answer import TEMP
from tests.oracle.conftest import write_table
from tests.oracle.postfix_side import Postmap
from tests.oracle.trees import Node
from vmaild.demo.slapd import Slapd, free_port

BASE = "o=gates"
DOMAINS = ("in.example", "also.example", "empty.example")
KEYS = [
    *(f"ann@{domain}" for domain in (*DOMAINS, "IN.Example", "out.example", "written.example", "group.example")),
    "ann@in.example.", "nobody@in.example", "nobody@out.example", "@in.example", "@out.example", "in.example", "ann",
    "ann@", "a@b@in.example", "", "*", "ann@in*", "ann@*",
]  # fmt: skip
BY_MEMBER = {"special_result_attribute": "member", "leaf_result_attribute": "associatedDomain"}


def ldif() -> str:
    kinds = [("objectClass", kind) for kind in ("organizationalRole", "extensibleObject")]
    nodes = [Node(BASE, [("objectClass", "organization"), ("o", "gates")])]
    nodes += [
        Node(f"ou={name},{BASE}", [("objectClass", "organizationalUnit"), ("ou", name)]) for name in ("d", "other", "p")
    ]
    nodes += [
        Node(f"cn={name},ou=d,{BASE}", [*kinds, ("cn", name), ("associatedDomain", name)]) for name in DOMAINS[:2]
    ]
    nodes.append(Node(f"cn=empty.example,ou=d,{BASE}", [*kinds, ("cn", "empty.example")]))
    other = [("cn", "out.example"), ("associatedDomain", "out.example")]
    nodes.append(Node(f"cn=out.example,ou=other,{BASE}", [*kinds, *other]))
    group = [("cn", "group.example"), ("member", f"cn=in.example,ou=d,{BASE}")]
    nodes.append(Node(f"cn=group.example,ou=other,{BASE}", [*kinds, *group]))
    for domain in (*DOMAINS, "out.example", "written.example", "group.example"):
        pairs = [("cn", f"ann {domain}"), ("mail", f"ann@{domain}"), ("maildrop", f"ann@box.{domain}")]
        nodes.append(Node(f"cn=ann {domain},ou=p,{BASE}", [*kinds, *pairs]))
        nodes.append(Node(f"cn=all {domain},ou=p,{BASE}", [*kinds, ("cn", f"all {domain}"), ("mail", f"@{domain}")]))
    return "".join(node.ldif() for node in nodes)


@pytest.fixture(scope="module")
def slapd(service_home: Path) -> Iterator[Slapd]:
    with Slapd(service_home / "slapd", base=BASE, ldif=ldif(), access="") as running:
        yield running


@pytest.fixture(scope="module")
def home(service_home: Path, slapd: Slapd) -> Path:
    """The tables of domains: two, one that fails, one whose server is down, and one that has members."""
    asks = {"query_filter": "(cn=%s)", "result_attribute": "associatedDomain"}
    write_table(service_home / "one.cf", slapd.uri, {"search_base": f"ou=d,{BASE}", **asks})
    write_table(service_home / "two.cf", slapd.uri, {"search_base": f"ou=other,{BASE}", **asks})
    write_table(service_home / "members.cf", slapd.uri, {"search_base": BASE, **asks, **BY_MEMBER})
    write_table(service_home / "wrong.cf", slapd.uri, {"search_base": f"ou=gone,{BASE}", **asks})
    write_table(service_home / "down.cf", f"ldap://127.0.0.1:{free_port()}", {"search_base": BASE, **asks})
    return service_home


def table(home: Path, slapd: Slapd, domain: str) -> Path:
    settings = {"search_base": f"ou=p,{BASE}", "query_filter": "(mail=%s)", "domain": domain.replace("@", f"{home}/")}
    return write_table(home / "asked.cf", slapd.uri, settings)


@pytest.mark.parametrize(
    "domain",
    [
        "ldap:@one.cf",
        "proxy:ldap:@one.cf",
        "ldap:@one.cf ldap:@two.cf",
        "written.example ldap:@one.cf",
        "ldap:@one.cf, written.example",
        "!in.example ldap:@one.cf written.example",
        "!in.example ldap:@one.cf in.example",
        "ldap:@one.cf !in.example",
        "in.example ldap:@wrong.cf",
        "!out.example written.example ldap:@down.cf",
        "ldap:@one.cf ldap:@wrong.cf",
        "ldap:@members.cf",
    ],
)
def test_the_domain_of_a_key_is_asked_first_as_in_postfix(
    home: Path, slapd: Slapd, postmap: Postmap, domain: str
) -> None:
    file = table(home, slapd, domain.replace("proxy:", ""))
    theirs = postmap.answers(file, KEYS, [None] * len(KEYS))
    assert vmaild_side.answers(table(home, slapd, domain), KEYS) == theirs
    assert any(isinstance(answer, str) for answer in theirs)
    assert (TEMP in theirs) == ("wrong" in domain or "down" in domain)


@pytest.mark.parametrize(
    ("domain", "said"),
    [
        ("!ldap:@one.cf", "only whole domains can be excluded"),
        ("ldap:@one.cf !a.example ldap:@two.cf", "only whole domains can be excluded, and before all tables"),
        ("ldap:@absent.cf", "No such file"),
        ("ldap:@nested.cf", "a table with a domain list finds no bare domain"),
        ("ldap:@asked.cf", "a table with a domain list finds no bare domain"),
    ],
)
def test_what_cannot_be_kept_is_refused(home: Path, slapd: Slapd, domain: str, said: str) -> None:
    asks = {"query_filter": "(cn=%s)", "domain": "in.example"}
    write_table(home / "nested.cf", slapd.uri, {"search_base": BASE, **asks})
    with pytest.raises(vmaild_side.Refused, match=said):
        vmaild_side.answers(table(home, slapd, domain), KEYS)


def test_what_a_table_of_domains_asks_is_part_of_what_the_map_means(home: Path, slapd: Slapd) -> None:
    """Records stay at a reload for maps that mean the same."""
    meanings = []
    for domain in ("ldap:@one.cf", "ldap:@two.cf", "ldap:@one.cf"):
        (group,) = vmaild_side.configured(table(home, slapd, domain)).maps.groups
        meanings.append(group.meaning)
    assert meanings[0] == meanings[2] != meanings[1]


def test_a_domain_that_no_table_has_costs_no_search_for_the_address(home: Path, slapd: Slapd) -> None:
    file = table(home, slapd, "ldap:@one.cf")
    assert vmaild_side.searches(file, ["ann@else.example"]) == 1
    assert vmaild_side.searches(file, ["ann@in.example"]) == 2
