"""One key looked up for a group of tables: what is asked next, when it is asked one by one, and what is known then."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.tables.in_memory import BASE, SCHEMA, Answer, Tree, ask, groups
from vmaild.errors import DataError
from vmaild.lookup import NODATA, NOT_FOUND, Entry, Search, found
from vmaild.tables import Group, KeyLookup, Schema
from vmaild.tables.results import VALUE_LIMIT

D = f"o=d.example,{BASE}"
USER = f"mail=u@d.example,{D}"
MAPS = ("virtual_mailbox_maps", "virtual_alias_maps", "smtpd_sender_login_maps")


@pytest.fixture
def hosting(tree: Tree) -> Tree:
    tree.add(D, objectClass="organization", o="d.example")
    tree.add(USER, objectClass="courierMailAccount", mail="u@d.example", mailbox="d.example/u/")
    tree.add(f"mail=a@d.example,{D}", objectClass="courierMailAlias", mail="a@d.example", maildrop="u@d.example")
    return tree


def role(tree: Tree, *occupants: str) -> None:
    tree.add(f"cn=postmaster,{D}", objectClass="organizationalRole", cn="postmaster", roleOccupant=list(occupants))


def own(*queries: dict[str, Any]) -> Group:
    return groups({"own": {"query": list(queries)}}, preset="")["own"]


def replies(tree: Tree, key: str, schema: Schema | None) -> list[object]:
    """The answers of the preset's record, each table asked by a lookup of its own."""

    def answer(name: str) -> object:
        try:
            return ask(tree, name, key, schema=schema).reply
        except DataError as error:
            return str(error)

    return [answer(name) for name in MAPS]


@pytest.mark.parametrize("key", ["u@d.example", "a+x@d.example", "no+x@d.example", "a\\b@d.example", "ü@d.example"])
def test_with_a_schema_the_preset_costs_one_search_for_all_its_maps(hosting: Tree, key: str) -> None:
    known = ask(hosting, MAPS[0], key).known
    assert {name for name, _ in known} == set(MAPS)
    assert len(hosting.searches) == 1
    assert [known[name, key] for name in MAPS] == replies(hosting, key, None)


def test_without_a_schema_it_is_asked_one_by_one_and_stops_at_what_is_found(hosting: Tree) -> None:
    assert ask(hosting, MAPS[0], "u+x@d.example", schema=None).reply == found(b"d.example/u/")
    assert [search.filter for search in hosting.searches] == [
        "(&(mail=u+x@d.example)(objectClass=courierMailAccount))",
        "(&(mail=u+x@d.example)(objectClass=courierMailAlias))",
        "(&(mail=u@d.example)(objectClass=courierMailAccount))",
    ]


def test_what_another_table_has_asked_is_not_asked_again(hosting: Tree) -> None:
    group = groups()[MAPS[0]]
    lookup = KeyLookup(group, "no@d.example", None)
    for place in range(len(group.tables)):
        while isinstance(settled := lookup.settle(place), Search):
            lookup.receive(hosting.search(settled))
        assert settled == NOT_FOUND
    assert len(hosting.searches) == len(set(hosting.searches)) == 4


def test_a_doubt_makes_it_ask_one_by_one(hosting: Tree) -> None:
    hosting.hidden = {"mail", "objectclass"}
    for key in ("u@d.example", "a@d.example"):
        hosting.searches.clear()
        answer = ask(hosting, "virtual_alias_maps", key)
        assert answer.reply == (NODATA if key[0] == "u" else found(b"u@d.example"))
        joined, *alone = hosting.searches
        assert joined.filter.startswith("(|")
        assert alone
        assert not any(search.filter.startswith("(|") for search in alone)


def test_a_failed_joined_search_can_be_asked_one_by_one_and_a_single_one_cannot(hosting: Tree) -> None:
    group = groups()["virtual_alias_maps"]
    place = [table.name for table in group.tables].index("virtual_alias_maps")
    role(hosting, USER)
    lookup = KeyLookup(group, "postmaster@d.example", SCHEMA)
    search = lookup.settle(place)
    assert isinstance(search, Search)
    # The role is looked for below the domain: a domain that is missing, or hidden, says nothing of it.
    assert search.base_exists
    assert lookup.joint
    lookup.split()
    asked: list[Any] = []
    while isinstance(settled := lookup.settle(place), Search):
        assert not lookup.joint
        asked.append((settled.base, settled.base_exists))
        lookup.receive([] if settled.base == D else hosting.search(settled))
    assert settled == found(b"u@d.example")
    assert (f"cn=postmaster,{D}", False) in asked


def test_a_base_that_a_server_may_refuse_is_asked_by_itself_even_if_nothing_was_found(hosting: Tree) -> None:
    domain = {"search_base": f"o=%d,{BASE}", "query_filter": "(mail=%s)"}
    inner = {"search_base": f"uidNumber=%u,o=%d,{BASE}", "scope": "base", "query_filter": "(cn=a)"}
    answer = Answer(hosting, own(domain, inner), "own", "no@d.example", SCHEMA)
    assert answer.reply == NOT_FOUND
    assert f"uidNumber=no,{D}" in [search.base for search in hosting.searches]


def test_the_members_of_a_role_are_looked_up_by_their_addresses_in_one_search(hosting: Tree) -> None:
    hosting.add(f"mail=v@d.example,{D}", objectClass="courierMailAccount", mail="v@d.example", mailbox="d.example/v/")
    role(hosting, USER, f"MAIL=V@d.example, {D}")
    answer = ask(hosting, "virtual_alias_maps", "postmaster@d.example")
    assert answer.reply == found(b"u@d.example,v@d.example")
    assert len(hosting.searches) == 2
    assert answer.known["virtual_mailbox_maps", "v@d.example"] == found(b"d.example/v/")
    assert answer.warnings == []


@pytest.mark.parametrize(
    "member",
    [
        f"cn=Ann,o=staff,{BASE}",
        f"mail=other@d.example,{D}",
        f"mail=u@d.example,cn=deeper,{D}",
        f"mail=u@d.example+cn=u,{D}",
        f"mail=ß@d.example,{D}",
    ],
    ids=["no address", "another address", "another entry of the address", "two values", "not ASCII"],
)
def test_a_member_that_its_address_does_not_bring_is_asked_for_by_its_name(hosting: Tree, member: str) -> None:
    hosting.add(member, objectClass="person", mail="found@x")
    role(hosting, member)
    answer = ask(hosting, "virtual_alias_maps", "postmaster@d.example")
    assert answer.reply == found(b"found@x")
    last = hosting.searches[-1]
    assert (last.base, last.filter) == (member, "(objectClass=*)")


def test_a_member_whose_class_is_not_shown_is_asked_for_by_its_name(hosting: Tree) -> None:
    group = own({"query_filter": "(mail=%s)", "result_attribute": ["maildrop"], "special_result_attribute": ["member"]})
    hosting.add(f"cn=list,{D}", mail="l@d.example", member=f"mail=a@d.example,{D}", maildrop="l@x")
    answer = Answer(hosting, group, "own", "l@d.example", SCHEMA)
    assert answer.reply == found(b"u@d.example,l@x")
    assert hosting.searches[-1].filter == "(objectClass=*)"


def test_one_member_that_needs_the_base_makes_the_search_for_all_of_them_need_it(hosting: Tree) -> None:
    wide = {"query_filter": "(mail=%s)", "search_base": f"o=%d,{BASE}", "special_result_attribute": ["member"]}
    role = {**wide, "search_base": f"cn=postmaster,o=%d,{BASE}", "scope": "base", "localpart": ["postmaster"]}
    hosting.add(f"cn=list,{D}", mail="l@d.example", member=[USER, f"mail=postmaster@d.example,{D}"])
    Answer(hosting, own(wide, role), "own", "l@d.example", SCHEMA)
    members = hosting.searches[1]
    assert members.filter.count("mail=u@d.example") == members.filter.count("mail=postmaster@d.example") == 1
    assert members.base_exists


def test_members_that_fail_together_are_asked_for_one_by_one(hosting: Tree) -> None:
    role(hosting, USER, f"mail=gone@d.example,{D}")
    group = groups()["virtual_alias_maps"]
    place = [table.name for table in group.tables].index("virtual_alias_maps")
    lookup = KeyLookup(group, "postmaster@d.example", SCHEMA)
    asked: list[Search] = []
    while isinstance(settled := lookup.settle(place), Search):
        asked.append(settled)
        if len(asked) == 2:
            assert lookup.joint
            lookup.split()
        else:
            lookup.receive(hosting.search(settled))
    assert settled == found(b"u@d.example")
    assert [search.base for search in asked[-2:]] == [USER, f"mail=gone@d.example,{D}"]
    assert lookup.warnings == [f"cn=postmaster,{D}: mail=gone@d.example,{D} not found, skipped"]


def test_an_error_stands_in_the_place_of_one_tables_answer_only(hosting: Tree) -> None:
    hosting.add(f"mail=e@d.example,{D}", objectClass="courierMailAccount", mail="e@d.example", mailbox="/etc/")
    known = ask(hosting, "virtual_alias_maps", "e@d.example").known
    assert known["virtual_alias_maps", "e@d.example"] == NODATA
    error = known["virtual_mailbox_maps", "e@d.example"]
    assert isinstance(error, DataError)
    assert "not relative" in str(error)
    assert error.__traceback__ is None


def test_what_is_settled_stays_so(hosting: Tree) -> None:
    answer = ask(hosting, "virtual_mailbox_maps", "u@d.example")
    hosting.entries = [Entry(D, {})]
    assert answer.lookup.settle(0) is answer.lookup.settle(0)
    assert len(hosting.searches) == 1


def test_an_answer_that_is_too_large_is_asked_for_one_by_one_and_harms_only_the_map_it_is_of(hosting: Tree) -> None:
    group = groups({})["virtual_mailbox_maps"]
    too_large = DataError("the answer has too many values")
    settled = {}
    one = KeyLookup(group, "u@d.example", SCHEMA)
    for place, table in enumerate(group.tables):
        while isinstance(search := one.settle(place), Search):
            is_large = one.joint or "Alias" in search.filter
            one.receive(too_large if is_large else hosting.search(search))
        settled[table.name] = search
    assert settled["virtual_mailbox_maps"] == found(b"d.example/u/")
    assert settled["virtual_alias_maps"] is too_large


def test_a_member_that_is_too_large_makes_the_whole_list_unusable(hosting: Tree) -> None:
    role(hosting, USER)
    group = groups({})["virtual_alias_maps"]
    place = [table.name for table in group.tables].index("virtual_alias_maps")
    one = KeyLookup(group, "postmaster@d.example", None)
    too_large = DataError("the answer has too many values")
    while isinstance(search := one.settle(place), Search):
        one.receive(too_large if search.base == USER else hosting.search(search))
    assert search is too_large


def test_a_reply_that_only_the_extension_makes_too_long_is_unusable(hosting: Tree) -> None:
    long = "x" * (VALUE_LIMIT - len("@e.example") - 1) + "@e.example"
    hosting.add(f"mail=long@d.example,{D}", objectClass="courierMailAlias", mail="long@d.example", maildrop=long)
    assert ask(hosting, "virtual_alias_maps", "long@d.example").reply == found(long.encode())
    with pytest.raises(DataError, match="too long for one reply"):
        ask(hosting, "virtual_alias_maps", "long+ab@d.example")


def test_a_reply_is_measured_in_bytes_and_not_in_letters(hosting: Tree) -> None:
    values = [f"{'ü' * 60}{number}@x.example" for number in range(VALUE_LIMIT // 120)]
    assert len(",".join(values)) < VALUE_LIMIT
    hosting.add(f"mail=long@d.example,{D}", objectClass="courierMailAlias", mail="long@d.example", maildrop=values)
    with pytest.raises(DataError, match="too long for one reply"):
        ask(hosting, "virtual_alias_maps", "long@d.example")


def test_a_table_of_domains_is_asked_first_and_what_is_not_in_it_is_not_searched_for(
    hosting: Tree, tmp_path: Path
) -> None:
    hosting.add(f"mail=u@e.example,{D}", objectClass="courierMailAccount", mail="u@e.example", mailbox="e.example/u/")
    table = tmp_path / "domains.cf"
    table.write_text(
        f"server_host = ldap://127.0.0.1\nsearch_base = {BASE}\nquery_filter = (o=%s)\nresult_attribute = o\n"
    )
    own = {"query_filter": "(mail=%s)", "result_attribute": "mailbox", "domain": f"ldap:{table}"}
    assert ask(hosting, "own", "u@d.example", {"own": own}, preset="").reply == found(b"d.example/u/")
    assert [search.filter for search in hosting.searches] == ["(o=d.example)", "(mail=u@d.example)"]
    hosting.searches.clear()
    assert ask(hosting, "own", "u@e.example", {"own": own}, preset="").reply == NOT_FOUND
    assert [search.filter for search in hosting.searches] == ["(o=e.example)"]


def test_members_are_searched_for_as_their_query_is_referrals_ignored_or_not(hosting: Tree, tmp_path: Path) -> None:
    """As Postfix's own tables do: what points to another server is no failure for a map that is made of their files."""
    role(hosting, USER)
    table = tmp_path / "own.cf"
    table.write_text(
        f"server_host = ldap://127.0.0.1\nsearch_base = {BASE}\nquery_filter = (cn=%u)\nresult_attribute = mail\n"
        "special_result_attribute = roleOccupant\n"
    )
    ask(hosting, "own", "postmaster@d.example", {"own": {"cf": [str(table)]}}, preset="")
    assert len(hosting.searches) > 1, "the role, and its occupant"
    assert {search.ignore_referrals for search in hosting.searches} == {True}
    hosting.searches.clear()
    ask(hosting, "virtual_alias_maps", "postmaster@d.example")
    assert {search.ignore_referrals for search in hosting.searches} == {False}
