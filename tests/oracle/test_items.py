"""One minimal case for each difference that was once seen: the answer of Postfix, which is held against the real one.

A case in ``WRONG`` is one where vmaild answers otherwise still; the test fails when it does no longer, so that the name
is taken out. ``ON_PURPOSE`` are those that stay, with vmaild's own answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.oracle import vmaild_side
from tests.oracle.answer import TEMP, Answer
from tests.oracle.conftest import write_table
from tests.oracle.postfix_side import Postmap
from tests.oracle.table_files import Settings
from tests.oracle.trees import BASE, Node
from vmaild.demo.slapd import Slapd

MANY = 1200
"""Entries of one domain: more than a thousand."""


def entry(name: str, *pairs: tuple[str, str], under: str = BASE) -> str:
    """LDIF of one entry ``cn=name``."""
    classes = [
        ("objectClass", "organizationalRole"),
        ("objectClass", "extensibleObject"),
        ("cn", name.replace("\\", "")),
    ]
    return Node(f"cn={name},{under}", [*classes, *pairs]).ldif()


def of(name: str) -> str:
    return f"cn={name},{BASE}"


ANN = f"mail=ann@one.example,ou=people,{BASE}"
LDIF = "".join(
    (
        Node(BASE, [("objectClass", "organization"), ("o", "oracle")]).ldif(),
        Node(f"ou=people,{BASE}", [("objectClass", "organizationalUnit"), ("ou", "people")]).ldif(),
        Node(f"ou=referring,{BASE}", [("objectClass", "organizationalUnit"), ("ou", "referring")]).ldif(),
        entry("r", ("mail", "r@one.example"), ("maildrop", "r@box.example"), under=f"ou=referring,{BASE}"),
        Node(f"ou=many,{BASE}", [("objectClass", "organizationalUnit"), ("ou", "many")]).ldif(),
        entry("m", ("mail", "m@one.example"), ("maildrop", "m@box.example")),
        entry("g", ("mail", "g@one.example"), ("member", of("m"))),
        entry("option", ("mail", "option@one.example"), ("maildrop;lang-de", "o@box.example")),
        Node(
            ANN,
            [
                ("objectClass", "organizationalRole"),
                ("objectClass", "extensibleObject"),
                ("cn", "ann"),
                ("mail", "ann@one.example"),
                ("maildrop", "ann@box.example"),
            ],
        ).ldif(),
        entry("ann2", ("mail", "ann@one.example"), ("maildrop", "ann2@box.example"), under=f"ou=people,{BASE}"),
        entry("role", ("mail", "role@one.example"), ("member", ANN), under=f"ou=people,{BASE}"),
        entry("two", ("mail", "two@one.example"), ("labeledURI", f"ldap:///ou=people,{BASE}?maildrop?sub?(cn=ann*)")),
        entry("twice", ("mail", "twice@one.example"), ("maildrop", "same@box.example"), ("member", of("twin"))),
        entry("twin", ("mail", "twin@one.example"), ("maildrop", "same@box.example")),
        entry("angle", ("mail", "angle@one.example"), ("labeledURI", f"<ldap:///{of('m')}?maildrop>")),
        entry("prefix", ("mail", "prefix@one.example"), ("labeledURI", f"URL:ldap:///{of('m')}?maildrop")),
        entry("ldapi", ("mail", "ldapi@one.example"), ("labeledURI", f"ldapi:///{of('m')}?maildrop")),
        entry("subtree", ("mail", "subtree@one.example"), ("labeledURI", f"ldap:///{of('m')}?maildrop?subtree")),
        entry("end", ("mail", "pair@one.example"), ("description", "end"), ("maildrop", "no@box.example")),
        entry("more", ("mail", "pair@one.example"), ("maildrop", "more@box.example")),
        entry("order", ("maildrop", "o@box.example"), ("mail", "order@one.example"), ("info", "first@box.example")),
        entry("all", ("mail", "@one.example"), ("maildrop", "all@box.example")),
        entry("control", ("mail", "control@one.example"), ("description", "a\x01b")),
        Node(
            f"ou=elsewhere,ou=referring,{BASE}",
            [
                ("objectClass", "referral"),
                ("objectClass", "extensibleObject"),
                ("ou", "elsewhere"),
                ("ref", "ldap://127.0.0.1:1/o=other"),
            ],
        ).ldif(),
        *(
            entry(f"user{n}", ("mail", f"user{n}@many.example"), ("o", "many.example"), under=f"ou=many,{BASE}")
            for n in range(MANY)
        ),
    )
)


@dataclass(frozen=True)
class Case:
    """A table's settings over ``search_base`` and ``(mail=%s)``, a key, and Postfix's answer."""

    settings: Settings
    key: str
    postfix: Answer

    @property
    def full(self) -> Settings:
        return {"search_base": f"cn=m,{BASE}", "query_filter": "(mail=%s)", **self.settings}


EVERYWHERE = {"search_base": BASE, "scope": "one"}
"""One level, where the referral object is not."""
MEMBER = {**EVERYWHERE, "special_result_attribute": "member"}
URI = {**EVERYWHERE, "special_result_attribute": "labeledURI"}
PEOPLE = {"search_base": f"ou=people,{BASE}"}

CASES: dict[str, Case] = {
    "1 an attribute in two lists": Case(
        {**MEMBER, "result_attribute": "mail", "leaf_result_attribute": "mail"}, "g@one.example", "m@one.example"
    ),
    "2 maildrop by default beside other lists": Case(
        {**MEMBER, "leaf_result_attribute": "mail"}, "g@one.example", "m@one.example,m@box.example"
    ),
    "3 more than a thousand entries": Case(
        {"search_base": f"ou=many,{BASE}", "query_filter": "(o=%s)", "result_attribute": "mail"},
        "many.example",
        ",".join(f"user{n}@many.example" for n in range(MANY)),
    ),
    "3 more than a thousand entries within size_limit": Case(
        {"search_base": f"ou=many,{BASE}", "query_filter": "(o=%s)", "result_attribute": "o", "size_limit": "5000"},
        "many.example",
        ",".join(["many.example"] * MANY),
    ),
    "5 size_limit and a member whose address has a second entry": Case(
        {**PEOPLE, "special_result_attribute": "member", "size_limit": "1"},
        "role@one.example",
        "ann@box.example",
    ),
    "5 size_limit is expansion_limit by default": Case(
        {**EVERYWHERE, "expansion_limit": "1"}, "pair@one.example", TEMP
    ),
    "5 size_limit holds for a URL": Case({**URI, "size_limit": "1"}, "two@one.example", TEMP),
    "5 expansion_limit counts each value": Case({**MEMBER, "expansion_limit": "1"}, "twice@one.example", TEMP),
    "6 an attribute with options": Case(EVERYWHERE, "option@one.example", "o@box.example"),
    "7 terminal in one entry": Case(
        {**EVERYWHERE, "terminal_result_attribute": "description"}, "pair@one.example", "end"
    ),
    "8 a key without a localpart where domain is set": Case(
        {**EVERYWHERE, "domain": "one.example"}, "@one.example", None
    ),
    "8 the same key without domain": Case(EVERYWHERE, "@one.example", "all@box.example"),
    "9 a URL in angle brackets": Case(URI, "angle@one.example", "m@box.example"),
    "9 a URL behind URL:": Case(URI, "prefix@one.example", "m@box.example"),
    "9 an ldapi: URL": Case(URI, "ldapi@one.example", "m@box.example"),
    "9 scope subtree": Case({**URI, "result_attribute": "maildrop"}, "subtree@one.example", "m@box.example"),
    "10 an empty label": Case({"query_filter": "(mail=%u@%2.%1)"}, "m@one..example.", "m@box.example"),
    "10 a referral object in the answer": Case(
        {"search_base": f"ou=referring,{BASE}"}, "r@one.example", "r@box.example"
    ),
    "10 the order of values": Case(
        {**EVERYWHERE, "result_attribute": "info, maildrop"}, "order@one.example", "o@box.example,first@box.example"
    ),
    "13 a filter without parentheses": Case({"query_filter": "mail=%s"}, "m@one.example", "m@box.example"),
    "13 blanks in a filter": Case(
        {"query_filter": "( & (mail=%s) ( | (cn=m)  (cn=n) ) )"}, "m@one.example", "m@box.example"
    ),
    "13 an empty and": Case({"query_filter": "(&(mail=%s)(&))"}, "m@one.example", "m@box.example"),
    "13 an empty or": Case({"query_filter": "(|(mail=%s)(|))"}, "m@one.example", "m@box.example"),
    "13 result_filter": Case({"result_filter": "<%s>"}, "m@one.example", "<m@box.example>"),
    "13 an empty search_base": Case({"search_base": "", "scope": "one"}, "m@one.example", "m@box.example"),
    "13 an exclusion in domain": Case(
        {"domain": "!one.example two.example one.example"}, "m@one.example", None
    ),
    "a control character": Case({**EVERYWHERE, "result_attribute": "description"}, "control@one.example", "a\x01b"),
}  # fmt: skip

WRONG: set[str] = set()
"""Cases that vmaild does not answer as Postfix does, and should."""

ON_PURPOSE: dict[str, Answer] = {
    "7 terminal in one entry": "end,more@box.example",
    "a control character": TEMP,
}
"""Cases that vmaild answers otherwise, with its answer. Why: ``differences.MEANT``."""

ONCE = {"3 more than a thousand entries within size_limit"}
"""Cases in which vmaild returns each value once, as it always does."""


@pytest.fixture(scope="module")
def slapd(service_home: Path) -> Iterator[Slapd]:
    config = ("sizelimit unlimited", f"defaultsearchbase {BASE}")
    with Slapd(service_home / "slapd", base=BASE, ldif=LDIF, access="", config=config) as running:
        yield running


def cases() -> Iterator[object]:
    for name in CASES:
        marks = [pytest.mark.xfail(strict=True, reason="vmaild is wrong still")] if name in WRONG else []
        yield pytest.param(name, marks=marks, id=name.replace(" ", "-"))


@pytest.mark.parametrize("name", CASES, ids=lambda name: name.replace(" ", "-"))
def test_postfix_answers_so(service_home: Path, slapd: Slapd, postmap: Postmap, name: str) -> None:
    file = write_table(service_home / "case.cf", slapd.uri, CASES[name].full)
    assert postmap.answer(file, CASES[name].key) == CASES[name].postfix


@pytest.mark.parametrize("name", list(cases()))
def test_vmaild_answers_as_postfix_does(service_home: Path, slapd: Slapd, name: str) -> None:
    case = CASES[name]
    file = write_table(service_home / "case.cf", slapd.uri, case.full)
    wanted = ON_PURPOSE.get(name, case.postfix)
    if name in ONCE and isinstance(wanted, str):
        wanted = ",".join(dict.fromkeys(wanted.split(",")))
    assert vmaild_side.answers(file, [case.key]) == [wanted]


@pytest.mark.parametrize(
    ("settings", "parameter"),
    [
        ({"domain": "$mydestination"}, "domain: '$mydestination'"),
        ({"domain": "static:all"}, "domain: 'static:all'"),
        ({"domain": "!ldap:/etc/postfix/domains.cf"}, "domain: 'ldap:/etc/postfix/domains.cf'"),
        ({"domain": "mysql:/etc/postfix/domains.cf"}, "domain: 'mysql:/etc/postfix/domains.cf'"),
        ({"domain": "hash:/etc/postfix/domains"}, "domain: 'hash:/etc/postfix/domains'"),
        ({"query_filter": "(&(mail=%s)(host=$myhostname))"}, "query_filter: "),
        ({"dereference": "3"}, "dereference: "),
        ({"chase_referrals": "yes"}, "chase_referrals: "),
        ({"bind": "sasl", "sasl_mechs": "GSSAPI"}, "sasl_mechs: GSSAPI"),
    ],
)
def test_what_cannot_be_kept_is_refused_by_name(
    service_home: Path, slapd: Slapd, settings: Settings, parameter: str
) -> None:
    file = write_table(
        service_home / "case.cf", slapd.uri, {"search_base": BASE, "query_filter": "(mail=%s)", **settings}
    )
    with pytest.raises(vmaild_side.Refused, match=parameter.replace("$", r"\$")):
        vmaild_side.answers(file, ["m@one.example"])
