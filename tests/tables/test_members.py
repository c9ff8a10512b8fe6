"""Members of entries: what is asked for, in which order the values come, and where it ends."""

from __future__ import annotations

from typing import Any

import pytest

from vmaild.errors import DataError
from vmaild.lookup import Entry, Scope
from vmaild.tables import Expansion, FilterTemplate, Query, Template
from vmaild.tables.members import MOST_WORK, Members, member_search
from vmaild.tables.template import Parts

KEY = Parts.of("all@d.example")


def query(*, size_limit: int = 0, **expansion: Any) -> Query:
    lists: dict[str, Any] = {"result_attribute": ("mail",), "special_result_attribute": ("member",), **expansion}
    template = FilterTemplate("(mail=%s)")
    return Query(Template("o=x"), Scope.SUB, template, Expansion(**lists), size_limit=size_limit)


def entry(name: str, **values: str | list[str]) -> Entry:
    shown = {key: tuple(v.encode() for v in ([one] if isinstance(one, str) else one)) for key, one in values.items()}
    return Entry(f"cn={name}", shown)


def walked(one: Query, tree: dict[str, Entry], top: Entry, *, at_once: int = 1, last_first: bool = False) -> Members:
    """All members searched for, ``at_once`` at a time, whose answers may come the other way round."""
    members = Members(one, KEY, [top], {})
    while members.search is not None:
        asked = [found for _ in range(at_once) if (found := members.ask()) is not None]
        for member, _ in reversed(asked) if last_first else asked:
            members.receive(member, [tree[member]] if member in tree else [])
    return members


TREE = {
    "cn=a": entry("a", mail="a@x", member=["cn=c", "cn=gone"]),
    "cn=b": entry("b", member="cn=c", mail="b@x"),
    "cn=c": entry("c", mail="c@x"),
}
TOP = entry("top", member=["cn=a", "cn=b", "cn=a"], mail="top@x")


@pytest.mark.parametrize("at_once", [1, 2, 10])
@pytest.mark.parametrize("last_first", [False, True])
def test_values_come_depth_first_in_the_order_of_entries(at_once: int, last_first: bool) -> None:
    members = walked(query(), TREE, TOP, at_once=at_once, last_first=last_first)
    assert members.values() == ["a@x", "c@x", "b@x", "top@x"]


def test_each_member_is_asked_for_once_however_often_it_is_named() -> None:
    members = Members(query(), KEY, [TOP], {})
    asked = []
    while members.search is not None:
        found = members.ask()
        assert found is not None
        asked.append(found[0])
        members.receive(found[0], [TREE[found[0]]] if found[0] in TREE else [])
    assert sorted(asked) == ["cn=a", "cn=b", "cn=c", "cn=gone"]
    assert [warning for warning in members.warnings if "cn=gone not found" in warning]


def test_what_was_asked_and_never_heard_of_is_asked_again() -> None:
    members = Members(query(), KEY, [TOP], {})
    first = [members.ask(), members.ask(), members.ask()]
    assert first[2] is None
    members.ask_again()
    assert {found[0] for found in (members.ask(), members.ask()) if found} == {"cn=a", "cn=b"}


def test_expansion_limit_counts_a_value_each_time() -> None:
    assert walked(query(expansion_limit=7), TREE, TOP).values() == ["a@x", "c@x", "b@x", "top@x"]
    with pytest.raises(DataError, match="expansion_limit"):
        walked(query(expansion_limit=6), TREE, TOP).values()


def test_recursion_limit_ends_a_loop_that_takes_one_search() -> None:
    loop = {"cn=a": entry("a", member="cn=a")}
    members = walked(query(), loop, entry("top", member="cn=a"))
    with pytest.raises(DataError, match="recursion_limit of 1000"):
        members.values()


def test_groups_with_more_ways_than_anybody_can_go_are_an_error() -> None:
    tree = {f"cn={n}": entry(str(n), member=[f"cn={n + 1}", f"cn={n + 1}x"]) for n in range(40)}
    tree |= {f"cn={n}x": entry(f"{n}x", member=[f"cn={n + 1}", f"cn={n + 1}x"]) for n in range(40)}
    with pytest.raises(DataError, match=f"more than {MOST_WORK}"):
        walked(query(), tree, entry("top", member="cn=0")).values()


def test_size_limit_holds_for_each_member() -> None:
    members = Members(query(size_limit=1), KEY, [entry("top", member="ldap:///o=x?mail?sub")], {})
    members.receive(members.needed, [TREE["cn=a"], TREE["cn=b"]])
    with pytest.raises(DataError, match="size_limit of 1"):
        members.values()


@pytest.mark.parametrize(
    ("url", "base", "scope", "attributes"),
    [
        ("ldap:///o=x", "o=x", Scope.BASE, ("mail", "member")),
        ("LDAPS://host:636/o=x?mail?one", "o=x", Scope.ONE, ("mail",)),
        ("<URL:ldapi:///o=x?MAIL;lang-de?subtree?(cn=a)>", "o=x", Scope.SUB, ("mail;lang-de",)),
        ("cldap:///o=x??onelevel", "o=x", Scope.ONE, ("mail", "member")),
        ("pldap:///o=a%2cb?member,sn?sub", "o=a,b", Scope.SUB, ("member",)),
    ],
)
def test_urls_are_read_as_libldap_does(url: str, base: str, scope: Scope, attributes: tuple[str, ...]) -> None:
    search = member_search(query(), url)
    assert search is not None
    assert (search.base, search.scope, search.attributes) == (base, scope, attributes)


def test_a_url_for_nothing_of_ours_is_skipped_and_a_malformed_one_an_error() -> None:
    assert member_search(query(), "ldap:///o=x?sn") is None
    for url in ("ldap:///o=x??deep", "<ldap:///o=x"):
        with pytest.raises(DataError, match="malformed URL"):
            member_search(query(), url)


def test_a_part_of_a_list_is_an_error() -> None:
    top = entry("top", **{"member;range=0-1499": "cn=a"})
    with pytest.raises(DataError, match="a part of a list"):
        Members(query(), KEY, [top], {}).values()
    assert walked(query(), TREE, entry("top", **{"member;range=0-*": "cn=c"})).values() == ["c@x"]


def test_an_answer_that_must_not_be_used_ends_it() -> None:
    members = Members(query(), KEY, [TOP], {})
    members.receive(members.needed, DataError("too large"))
    assert members.search is None
    with pytest.raises(DataError, match="too large"):
        members.values()


def test_more_than_a_reply_holds_ends_it_at_once() -> None:
    long = entry("long", mail=[f"{n}{'x' * 900}@x" for n in range(200)], member="cn=a")
    members = Members(query(), KEY, [long], {})
    assert members.search is None
    with pytest.raises(DataError, match="too long for one reply"):
        members.values()
