"""Which searches a lookup needs: what is joined, at which base, and how entries are shared out again."""

from __future__ import annotations

from typing import Any

import pytest

from tests.tables.in_memory import BASE, SCHEMA, groups
from vmaild.lookup import Entry, Scope, Search
from vmaild.tables import Group, KeyLookup
from vmaild.tables.plan import NO_ATTRIBUTES, JoinedSearch, Plan, share_out
from vmaild.tables.query import MOST_ENTRIES

DOMAIN = f"o=%d,{BASE}"
D = f"o=d.example,{BASE}"


def query(text: str = "(mail=%s)", base: str = DOMAIN, scope: str = "sub", **more: Any) -> dict[str, Any]:
    return {"query_filter": text, "search_base": base, "scope": scope, "result_attribute": ["maildrop"], **more}


def group(*tables: list[dict[str, Any]], **settings: Any) -> Group:
    maps = {f"t{number}": {"record": "one", "query": queries, **settings} for number, queries in enumerate(tables)}
    return groups(maps, preset="")["t0"]


def plan(of: Group, key: str = "u@d.example", *, joining: bool = True) -> Plan:
    return KeyLookup(of, key, SCHEMA if joining else None)._plan


def different(searches: list[JoinedSearch]) -> list[JoinedSearch]:
    return list({id(search): search for search in searches}.values())


def searches(of: Group, key: str = "u@d.example", *, joining: bool = True) -> list[Search]:
    keys = of.search_keys(key)
    return [joined.search(keys) for joined in different(plan(of, key, joining=joining).joined)]


def test_the_queries_of_all_tables_for_all_search_keys_go_out_as_one() -> None:
    of = group([query()], [query("(&(mail=%s)(objectClass=person))"), query()])
    [search] = searches(of, "u+x@d.example")
    # Which class an entry has is told from its values.
    assert search.filter == "(|(mail=u+x@d.example)(mail=u@d.example)(mail=@d.example))"
    assert (search.base, search.scope, search.size_limit) == (D, Scope.SUB, MOST_ENTRIES)
    assert search.attributes == ("mail", "maildrop", "objectclass")


def test_without_a_schema_nothing_is_joined_and_every_question_asked_once() -> None:
    of = group([query()], [query("(cn=%s)"), query()])
    assert [search.filter for search in searches(of, joining=False)] == [
        "(mail=u@d.example)",
        "(mail=@d.example)",
        "(cn=u@d.example)",
        "(cn=@d.example)",
    ]


def test_what_only_the_server_can_compare_is_not_joined() -> None:
    of = group([query("(mail=%s*)"), query(), query("(cn=%s)")], keys="exact")
    assert [search.filter for search in searches(of)] == [
        "(mail=u@d.example*)",
        "(|(mail=u@d.example)(cn=u@d.example))",
    ]


@pytest.mark.parametrize(
    ("inner", "joined"),
    [
        (query("(cn=a)", f"cn=postmaster,{DOMAIN}", "base"), True),
        (query("(cn=a)", DOMAIN, "one"), True),
        (query("(cn=a)", DOMAIN, "base"), True),
        (query("(cn=a)", f"cn=postmaster,{DOMAIN}", "one"), False),
        (query("(cn=a)", f"ou=unit,{DOMAIN}"), False),
        (query("(cn=a)", f"cn=a\\,o=%d,{BASE}", "base"), False),
        (query("(cn=a)", BASE), False),
        (query("(cn=a)", f"o=other.example,{BASE}", "base"), False),
    ],
    ids=[
        "entry below",
        "one level",
        "the base itself",
        "level below",
        "subtree below",
        "comma in name",
        "above",
        "beside",
    ],
)
def test_a_search_takes_in_another_base_only_where_it_shows_whether_that_is_there(
    inner: dict[str, Any], joined: bool
) -> None:
    assert len(searches(group([query(), inner], keys="exact"))) == (1 if joined else 2)


def test_a_narrow_search_takes_in_no_wider_one() -> None:
    assert len(searches(group([query(scope="one"), query("(cn=a)")], keys="exact"))) == 2


def test_search_keys_share_a_base_of_their_domain_and_not_one_of_their_own() -> None:
    assert len(searches(group([query(base=DOMAIN)]), "u+x@d.example")) == 1
    assert len(searches(group([query(base=f"ou=%1,{DOMAIN}")]), "u+x@d.example")) == 1
    assert len(searches(group([query(base=f"cn=%s,{DOMAIN}")]), "u+x@d.example")) == 3


@pytest.mark.parametrize(
    ("queries", "exists"),
    [
        ([query()], False),
        ([query(base=BASE)], True),
        ([query(), query("(cn=a)", DOMAIN, "one")], False),
        ([query(), query("(cn=a)", f"cn=postmaster,{DOMAIN}", "base")], True),
    ],
    ids=["by key", "fixed", "same base", "another base below"],
)
def test_a_base_must_be_there_where_it_is_fixed_or_stands_for_another(
    queries: list[dict[str, Any]], exists: bool
) -> None:
    [search] = searches(group(queries, keys="exact"))
    assert search.base_exists is exists


def test_values_are_quoted_and_braces_stand_for_themselves() -> None:
    [search] = searches(group([query("(&(mail=%s)(cn={0}%%))")], keys="exact"), "{1}*,(@d.example")
    assert search.filter == "(&(mail=\\7b1\\7d\\2a\\2c\\28@d.example)(cn={0}%))"


def test_a_search_for_nothing_of_the_entry_asks_for_no_attribute() -> None:
    of = group([query("(uid:caseExactMatch:=%s)", result_attribute=[])], keys="exact")
    assert searches(of)[0].attributes == ("uid",)
    assert searches(group([query("(:caseExactMatch:=%s)", result_attribute=[])], keys="exact"))[0].attributes == (
        NO_ATTRIBUTES
    )


def test_plans_are_made_once_for_keys_of_one_shape() -> None:
    of = group([query()])
    assert plan(of, "a@x") is plan(of, "b@y.z")
    assert plan(of, "a@x") is not plan(of, '"a b"@x')
    assert plan(of, "a@x") is not plan(of, "a@x", joining=False)
    assert len(plan(of, "@x").asks) == 1


@pytest.mark.parametrize(
    ("of", "same", "other"),
    [
        (query(localpart=["postmaster"]), ("a@x", "b@x"), "postmaster@x"),
        (query(domain=["x"]), ("a@x", "b@x"), "a@y"),
        (query(result_format="%U"), ("a@x", "b@x"), "@x"),
        (query(result_format="%2:%s"), ("a@x.y", "b@x.z"), "a@x"),
        (query("(cn=%2)"), ("a@x.y", "b@x.z"), "a@x"),
        (query(base=f"o=%3,{BASE}"), ("a@w.x.y", "b@w.x.z"), "a@x.y"),
    ],
    ids=["localpart", "domain", "result parts", "result labels", "filter labels", "base labels"],
)
def test_a_shape_is_all_that_a_plan_depends_on(of: dict[str, Any], same: tuple[str, str], other: str) -> None:
    made = group([of])
    one, two = same
    assert plan(made, one) is plan(made, two)
    assert len(plan(made, one).asks) != len(plan(made, other).asks)


def test_keys_without_a_part_are_not_asked_for_it() -> None:
    exact = group([query("(&(mail=%s)(o=%d))", BASE), query("(cn=%u)", BASE)], keys="exact")
    assert [search.filter for search in searches(exact, "star")] == ["(cn=star)"]
    assert len(plan(exact, "a@b").asks) == 2
    assert [search.filter for search in searches(exact, "@b")] == ["(&(mail=@b)(o=b))"]


# --- sharing out ----------------------------------------------------------------------------------------------------


def shares(of: Group, entries: list[Entry], key: str = "u@d.example") -> list[list[str]] | None:
    """For each ask, the names of the entries that it gets; None where they are in doubt."""
    [joined] = different(plan(of, key).joined)
    found = share_out(entries, [(joined, of.search_keys(key))], SCHEMA)
    return [[entry.dn.partition(",")[0] for entry in share] for share in found[0]] if found else None


def entry(name: str, **attributes: bytes) -> Entry:
    return Entry(f"{name},{D}", {attribute: (value,) for attribute, value in attributes.items()})


TWO = group([query("(&(mail=%s)(objectClass=person))"), query("(&(mail=%s)(objectClass=group))")], keys="exact")


def test_each_ask_gets_the_entries_that_its_filter_matches() -> None:
    entries = [
        entry("cn=a", mail=b"U@d.example", objectclass=b"sub"),
        entry("cn=b", mail=b"u@d.example", objectclass=b"group"),
    ]
    assert shares(TWO, entries) == [["cn=a"], ["cn=b"]]


def test_what_is_excluded_needs_no_more_to_be_known_and_what_is_not_excluded_does() -> None:
    assert shares(TWO, [entry("cn=a", mail=b"u@d.example", objectclass=b"organization")]) == [[], []]
    assert shares(TWO, [entry("cn=a", objectclass=b"organization")]) == [[], []]
    assert shares(TWO, [entry("cn=a", objectclass=b"sub")]) is None


def test_an_entry_that_may_be_of_two_is_in_doubt() -> None:
    assert shares(TWO, [entry("cn=a", mail=b"u@d.example")]) is None
    assert shares(TWO, [entry("cn=a", mail=b"u@d.example", objectclass=b"foreign")]) is None


def test_an_entry_that_none_can_have_matched_is_in_doubt() -> None:
    assert shares(TWO, [entry("cn=a", mail=b"other@d.example", objectclass=b"group")]) is None


BELOW = group([query(), query("(cn=b)", f"cn=b,{DOMAIN}", "base")], keys="exact")


def test_an_entry_beside_the_base_of_its_filter_is_nobodys_and_excludes_nothing() -> None:
    own, deeper = entry("cn=b", cn=b"b", mail=b"v@d.example"), Entry(f"cn=b,cn=x,{D}", {"cn": (b"b",), "mail": (b"v",)})
    assert shares(BELOW, [own, deeper]) == [[], ["cn=b"]]
    # It matched by its name, which says nothing of its address, that is hidden.
    assert shares(BELOW, [Entry(deeper.dn, {"cn": (b"b",)})]) is None


def test_a_base_that_only_the_server_can_compare_is_in_doubt_even_without_entries() -> None:
    of = group([query(), query("(cn=a)", f"cn=%u,{DOMAIN}", "base")], keys="exact")
    assert shares(of, []) == [[], []]
    assert shares(of, [], "ß@d.example") is None
    number = group([query(), query("(cn=a)", f"uidNumber=%u,{DOMAIN}", "base")], keys="exact")
    assert shares(number, []) is None


def test_a_name_that_only_the_server_can_compare_is_in_doubt() -> None:
    assert shares(BELOW, [Entry(f"password=b,{D}", {"cn": (b"b",), "mail": (b"v",)})]) is None
