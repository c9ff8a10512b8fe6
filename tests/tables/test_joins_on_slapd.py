"""Joined searches answer as asking query by query does, on a real slapd (``python -m tests.tables.joins`` for more)."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.tables import joins, random_tables
from tests.tables.joins import Comparison, Outcome
from tests.tables.random_tables import BASE, Directory
from vmaild.demo.slapd import Slapd
from vmaild.lookup import NODATA, NOT_FOUND, found

COMPARISONS = int(os.environ.get("VMAILD_JOIN_COMPARISONS", "5000"))
"""Of answers at random, in a normal run; VMAILD_JOIN_COMPARISONS sets another number."""

SEED = 3

CASES = f"ou=cases,{BASE}"
X = f"o=x,{CASES}"
THING = "orThing"


def entries() -> dict[str, dict[str, list[str]]]:
    """What the cases below look up, all in the domain x."""

    def entry(mail: str, object_class: str = THING, **more: str | list[str]) -> None:
        attributes = {name.replace("_", ";"): [v] if isinstance(v, str) else v for name, v in more.items()}
        name = f"cn={attributes.get('cn', [mail.partition('@')[0]])[0]},{X}"
        found[name] = {"objectClass": [object_class], "mail": [mail], "cn": [name[3 : name.index(",")]], **attributes}  # type: ignore[index, valid-type]

    found: dict[str, dict[str, list[str]]] = {
        CASES: {"objectClass": ["organizationalUnit"], "ou": ["cases"]},
        X: {"objectClass": ["organization"], "o": ["x"]},
        f"ou=unit,{X}": {"objectClass": ["organizationalUnit"], "ou": ["unit"]},
    }
    entry("k@x", "orGroup", maildrop="first", cn="a")
    entry("option@x", **{"maildrop_lang-de": "deutsch", "mailbox": "box"})
    entry("exact@x", orExact="EXACT", maildrop="drop")
    entry("strasse@x", description="straße", maildrop="drop")
    entry("described@x", cn="search1", description="text", maildrop="drop")
    entry("secret@x", orSecret="active", maildrop="drop")
    entry("spaces@x", description="a  b", maildrop="drop")
    entry("covert@x", orNick="nick", orCovert="covert", maildrop="drop")
    entry("number@x", orNumber="7", orFlag="TRUE", maildrop="drop")
    entry("both@x", maildrop="english", **{"maildrop_lang-de": "deutsch", "mailbox": "box"})
    entry("weiss@x", cn="weiß", maildrop="drop")
    entry("bare@x", "orBare", maildrop="drop")
    entry("member@x", maildrop="drop", member=[f"cn=a,{X}", f"commonName=Exact,{X}", f"cn=gone,{X}"])
    found[f"ou=veil,{X}"] = {"objectClass": ["organizationalUnit"], "ou": ["veil"]}
    found[f"cn=v,ou=veil,{X}"] = {"objectClass": [THING], "cn": ["v"], "mail": ["veiled@x"], "maildrop": ["drop"]}
    found[f"o=d3.example,{CASES}"] = {"objectClass": ["organization"], "o": ["d3.example"]}
    role = {"objectClass": [THING], "cn": ["postmaster"], "mail": ["p@d3.example"], "maildrop": ["hidden"]}
    found[f"cn=postmaster,o=d3.example,{CASES}"] = role
    found[f"cn=a\\,o=x,{CASES}"] = {"objectClass": [THING], "cn": ["a,o=x"], "mail": ["comma@x"], "maildrop": ["drop"]}
    found[f"cn=postmaster,ou=unit,{X}"] = {"objectClass": [THING], "cn": ["postmaster"], "maildrop": ["deeper"]}
    return found


DIRECTORIES = [
    Directory(CASES, entries()),
    *(random_tables.directory(random.Random(SEED + n), f"ou=n{n},{BASE}") for n in range(max(1, COMPARISONS // 200))),
]


@pytest.fixture(scope="module")
def slapd(service_home: Path) -> Iterator[Slapd]:
    with joins.slapd(service_home / "slapd", DIRECTORIES) as running:
        yield running


def outcomes(slapd: Slapd, key: str, *tables: list[dict[str, Any]]) -> tuple[list[Outcome], Comparison]:
    """The outcomes of the tables for a key of the cases. A difference from one by one fails."""

    async def compare() -> tuple[list[Outcome], Comparison]:
        comparison = await Comparison.open(slapd)
        try:
            group = joins.group_of(CASES, *tables)
            return await comparison.compare(group, key, list(range(len(tables)))), comparison
        finally:
            comparison.close()

    told, comparison = asyncio.run(compare())
    assert comparison.differences == []
    return told, comparison


def query(text: str, *result: str, base: str = f"o=%d,{CASES}", scope: str = "sub", **more: Any) -> dict[str, Any]:
    return {"query_filter": text, "result_attribute": list(result), "search_base": base, "scope": scope, **more}


ELSE = query("(mail=%s)", "cn")
"""The second query of a case: it takes what the first one does not."""


@pytest.mark.parametrize(
    ("key", "first", "expected"),
    [
        ("k@x", query("(&(objectClass=orThing)(mail=%s))", "maildrop"), "first"),
        ("k@x", query("(&(objectClass=orCompany)(mail=%s))", "maildrop"), "first"),
        ("k@x", query("(&(objectClass=orTeam)(mail=%s))", "maildrop"), "a"),
        ("k@x", query("(&(objectClass=unknownClass)(mail=%s))", "maildrop"), "a"),
        ("k@x", query("(&(!(objectClass=unknownClass))(mail=%s))", "maildrop"), "a"),
        ("k@x", query("(rfc822Mailbox=%s)", "maildrop"), "first"),
        ("k@x", query("(&(mail=%s)(commonName=a))", "maildrop"), "first"),
        ("k@x", query("(&(mail=%s)(name=a))", "maildrop"), "first"),
        ("k@x", query("(&(mail=%s)(!(name=b)))", "maildrop"), "first"),
        ("covert@x", query("(&(mail=%s)(orTitle=nick))", "maildrop"), "drop"),
        ("covert@x", query("(&(mail=%s)(orTitle=covert))", "maildrop"), "drop"),
        ("covert@x", query("(&(mail=%s)(!(orTitle=covert)))", "maildrop"), "covert"),
        ("option@x", query("(&(mail=%s)(maildrop=deutsch))", "mailbox"), "box"),
        ("option@x", query("(&(mail=%s)(!(maildrop=deutsch)))", "mailbox"), "option"),
        ("option@x", query("(&(mail=%s)(maildrop;lang-de=deutsch))", "mailbox"), "box"),
        ("option@x", query("(&(mail=%s)(maildrop=*))", "mailbox"), "box"),
        ("both@x", query("(&(mail=%s)(maildrop=deutsch))", "mailbox"), "box"),
        ("both@x", query("(&(mail=%s)(!(maildrop=deutsch)))", "mailbox"), "both"),
        ("both@x", query("(&(mail=%s)(maildrop=english))", "mailbox"), "box"),
        ("exact@x", query("(&(mail=%s)(orExact=%u))", "maildrop"), "exact"),
        ("exact@x", query("(&(mail=%s)(orExact=EXACT))", "maildrop"), "drop"),
        ("exact@x", query("(&(mail=%s)(mailbox=%u))", "maildrop"), "exact"),
        ("strasse@x", query("(&(mail=%s)(description=%u))", "maildrop"), "strasse"),
        ("strasse@x", query("(&(mail=%s)(description=stra\\c3\\9fe))", "maildrop"), "drop"),
        ("spaces@x", query("(&(mail=%s)(description=a b))", "maildrop"), "drop"),
        ("described@x", query("(&(mail=%s)(!(description=*)))", "maildrop"), "search1"),
        ("k@x", query("(&(mail=%s)(!(description=*)))", "maildrop"), "first"),
        ("secret@x", query("(&(mail=%s)(!(orSecret=active)))", "maildrop"), "secret"),
        ("secret@x", query("(&(mail=%s)(!(orSecret=gone)))", "maildrop"), "drop"),
        ("secret@x", query("(&(mail=%s)(orSecret=active))", "maildrop"), "drop"),
        ("k@x", query("(&(mail=%s)(!(orHidden=a)))", "maildrop"), "a"),
        ("number@x", query("(&(mail=%s)(orNumber=7)(orFlag=TRUE))", "maildrop"), "drop"),
        ("bare@x", query("(&(mail=%s)(objectClass=top))", "maildrop"), "drop"),
        ("number@x", query("(&(mail=%s)(!(orNumber=8)))", "orNumber"), "7"),
    ],
)
def test_the_first_query_takes_what_the_server_says_it_does(
    slapd: Slapd, key: str, first: dict[str, Any], expected: str
) -> None:
    assert outcomes(slapd, key, [first, ELSE])[0] == [found(expected.encode())]
    # And each query in a table of its own, where neither may get what is the other's.
    other = key.partition("@")[0].replace("described", "search1") if key != "k@x" else "a"
    alone = [NOT_FOUND if expected == other else found(expected.encode()), found(other.encode())]
    assert outcomes(slapd, key, [first], [ELSE])[0] == alone


def test_an_entry_of_the_filter_outside_its_base_is_nobodys(slapd: Slapd) -> None:
    role = query("(cn=postmaster)", "maildrop", base=f"cn=postmaster,o=%d,{CASES}", scope="base")
    described = query("(&(mail=%s)(objectClass=orGroup))", "cn")
    told, comparison = outcomes(slapd, "postmaster@x", [described], [role])
    assert told == [NOT_FOUND, NOT_FOUND]
    assert (comparison.counts["searches, joined"], comparison.counts["split"]) == (1, 0)


def test_what_stands_below_a_base_that_is_hidden_is_not_found(slapd: Slapd) -> None:
    for base in (f"ou=unit,o=%d,{CASES}", f"ou=gone,o=%d,{CASES}", f"orNumber=%u,o=%d,{CASES}"):
        outcomes(slapd, "k@x", [query("(mail=%s)", "cn")], [query("(mail=%s)", "maildrop", base=base)])


def test_members_are_those_that_their_dns_name(slapd: Slapd) -> None:
    members = query("(mail=%s)", "maildrop", special_result_attribute=["member"])
    assert outcomes(slapd, "member@x", [members], [ELSE])[0] == [found(b"drop,first"), found(b"member")]


def test_a_subtree_whose_base_is_hidden_is_empty_though_its_entries_can_be_read(slapd: Slapd) -> None:
    veiled = query("(mail=%s)", "maildrop", base=f"ou=veil,o=%d,{CASES}")
    assert outcomes(slapd, "veiled@x", [query("(mail=%s)", "cn")], [veiled])[0] == [found(b"v"), NOT_FOUND]
    gone = query("(mail=%s)", "maildrop", base=f"ou=veil,o=%d,{CASES}", scope="base")
    assert outcomes(slapd, "veiled@x", [query("(mail=%s)", "cn")], [gone])[0] == [found(b"v"), NOT_FOUND]


def test_a_base_is_the_one_that_the_server_takes_it_for(slapd: Slapd) -> None:
    wide = query("(mail=%s)", "cn")
    named = query("(mail=%s)", "maildrop", base=f"cn=%u,o=%d,{CASES}", scope="base")
    assert outcomes(slapd, "weiss@x", [wide], [named])[0] == [found("weiß".encode()), NOT_FOUND]
    assert outcomes(slapd, "bare@x", [wide], [named])[0] == [found(b"bare"), found(b"drop")]
    beside = query("(mail=%s)", "maildrop", base=f"cn=a\\,o=%d,{CASES}", scope="base")
    assert outcomes(slapd, "comma@x", [wide], [beside])[0] == [NOT_FOUND, found(b"drop")]


@pytest.mark.parametrize("base", ["orNumber=%u", "orPrintable=%s"])
def test_a_base_that_the_server_refuses_is_a_failure_of_its_own_table(slapd: Slapd, base: str) -> None:
    wide = query("(mail=%s)", "cn")
    malformed = query("(mail=%s)", "maildrop", base=f"{base},o=%d,{CASES}", scope="base")
    assert outcomes(slapd, "bare@x", [wide], [malformed])[0] == [found(b"bare"), "TEMP"]
    assert outcomes(slapd, "nobody@x", [wide], [malformed])[0] == [NOT_FOUND, "TEMP"]


def test_the_base_of_a_domain_that_is_hidden_says_nothing_of_what_is_below(slapd: Slapd) -> None:
    hidden = query("(mail=%s)", "cn", base=f"o=%d,{CASES}")
    role = query("(cn=postmaster)", "maildrop", base=f"cn=postmaster,o=%d,{CASES}", scope="base")
    assert outcomes(slapd, "p@d3.example", [hidden], [role])[0] == [NOT_FOUND, found(b"hidden")]


def test_what_the_schema_makes_certain_costs_one_search(slapd: Slapd) -> None:
    things, groups = (query(f"(&(mail=%s)(objectClass={name}))", "maildrop") for name in ("orThing", "orTeam"))
    nothing = {**things, "result_attribute": []}
    told, comparison = outcomes(slapd, "k+x@x", [things, ELSE], [groups, nothing])
    assert told == [found(b"first"), NODATA]
    assert (comparison.counts["searches, joined"], comparison.counts["split"]) == (1, 0)


def test_joined_searches_answer_as_one_by_one_does(slapd: Slapd) -> None:
    comparison = asyncio.run(joins.run(slapd, DIRECTORIES[1:], COMPARISONS, SEED))
    assert comparison.differences == []
    counts = comparison.counts
    # The comparison means something: much was found, joined and split, and joining saved searches.
    assert counts["answers OK"] > COMPARISONS / 10
    assert counts["joined answers"] > COMPARISONS / 4
    assert counts["split"] > COMPARISONS / 20
    assert counts["searches, joined"] < counts["searches, one by one"]
