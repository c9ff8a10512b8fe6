"""Maps as ldap_table(5) and the courier preset define them, on a tree held in memory."""

from __future__ import annotations

from typing import Any

import pytest

from tests.tables.in_memory import BASE, Tree, ask, reply
from vmaild.errors import DataError
from vmaild.lookup import NODATA, NOT_FOUND, Reply, Scope, found
from vmaild.tables import dn

D2 = f"o=domain2.example,{BASE}"


def account(
    tree: Tree, mail: str | list[str], mailbox: str | list[str], domain: str = "domain2.example", **more: Any
) -> None:
    name = mail if isinstance(mail, str) else mail[0]
    values = {"mailbox": mailbox} if mailbox else {}
    tree.add(
        f"mail={dn.quote(name)},o={domain},{BASE}",
        objectClass=["top", "courierMailAccount"],
        mail=mail,
        **values,
        **more,
    )


def alias(tree: Tree, mail: str | list[str], maildrop: str | list[str], domain: str = "domain2.example") -> None:
    name = mail if isinstance(mail, str) else mail[0]
    tree.add(
        f"mail={dn.quote(name)},o={domain},{BASE}",
        objectClass=["top", "courierMailAlias"],
        mail=mail,
        maildrop=maildrop,
    )


def role(tree: Tree, *occupants: str, domain: str = "domain2.example") -> None:
    name = f"cn=postmaster,o={domain},{BASE}"
    tree.add(name, objectClass=["top", "organizationalRole"], cn="postmaster", roleOccupant=list(occupants))


@pytest.fixture
def hosting(tree: Tree) -> Tree:
    tree.add(BASE, objectClass=["organization"], o="hosting")
    tree.add(D2, objectClass=["organization"], o="domain2.example")
    account(tree, "user1@domain2.example", "domain2.example/user1/")
    account(tree, ["user3@domain2.example", "third@domain2.example", "three@domain2.example"], "domain2.example/user3/")
    alias(tree, "sales@domain2.example", ["user1@domain2.example", "joe@else.example"])
    return tree


def test_a_mailbox_is_the_mailbox_attribute_of_its_account(hosting: Tree) -> None:
    assert reply(hosting, "virtual_mailbox_maps", "user1@domain2.example") == found(b"domain2.example/user1/")
    assert reply(hosting, "virtual_mailbox_maps", "three@domain2.example") == found(b"domain2.example/user3/")


def test_an_absent_address_is_not_found_in_any_map_after_one_search(hosting: Tree) -> None:
    for name in ("virtual_mailbox_maps", "virtual_alias_maps", "smtpd_sender_login_maps", "virtual_uid_maps"):
        hosting.searches.clear()
        assert reply(hosting, name, "nobody+x@domain2.example") == NOT_FOUND
        assert len(hosting.searches) == 1


def test_an_alias_is_every_maildrop_joined_with_commas(hosting: Tree) -> None:
    assert reply(hosting, "virtual_alias_maps", "sales@domain2.example") == found(
        b"user1@domain2.example,joe@else.example"
    )


def test_several_alias_entries_of_one_address_are_joined_without_repeats(hosting: Tree) -> None:
    alias(hosting, ["more@domain2.example", "sales@domain2.example"], ["joe@else.example", "ann@else.example"])
    assert reply(hosting, "virtual_alias_maps", "sales@domain2.example") == found(
        b"user1@domain2.example,joe@else.example,ann@else.example"
    )


def test_the_extension_follows_to_each_address_of_an_alias(hosting: Tree) -> None:
    assert reply(hosting, "virtual_alias_maps", "sales+q3@domain2.example") == found(
        b"user1+q3@domain2.example,joe+q3@else.example"
    )


def test_an_entry_for_the_full_address_wins_over_the_one_without_extension(hosting: Tree) -> None:
    alias(hosting, "sales+q3@domain2.example", "third@else.example")
    assert reply(hosting, "virtual_alias_maps", "sales+q3@domain2.example") == found(b"third@else.example")


def test_a_catch_all_takes_what_nothing_else_takes_without_the_extension(hosting: Tree) -> None:
    alias(hosting, "@domain2.example", "all@else.example")
    assert reply(hosting, "virtual_alias_maps", "nobody+x@domain2.example") == found(b"all@else.example")


@pytest.mark.parametrize("key", ["user1@domain2.example", "user1+x@domain2.example", "three@domain2.example"])
def test_a_catch_all_alias_never_takes_the_mail_of_a_mailbox(hosting: Tree, key: str) -> None:
    alias(hosting, "@domain2.example", "all@else.example")
    assert reply(hosting, "virtual_alias_maps", key) == NODATA


def test_a_catch_all_mailbox_never_takes_the_mail_of_an_alias(hosting: Tree) -> None:
    account(hosting, "@domain2.example", "domain2.example/all/")
    assert reply(hosting, "virtual_mailbox_maps", "sales@domain2.example") == NODATA
    assert reply(hosting, "virtual_mailbox_maps", "nobody@domain2.example") == found(b"domain2.example/all/")


def test_postmaster_goes_to_one_address_of_each_occupant_and_dangling_ones_are_skipped(hosting: Tree) -> None:
    role(
        hosting,
        f"mail=user1@domain2.example, o=domain2.example, {BASE}",
        f"mail=gone@domain2.example,{D2}",
        f"mail=user3@domain2.example,{D2}",
    )
    outcome = ask(hosting, "virtual_alias_maps", "postmaster@domain2.example")
    assert outcome.reply == found(b"user1@domain2.example,user3@domain2.example")
    assert [w for w in outcome.warnings if "gone@domain2.example" in w]


def test_postmaster_with_two_occupants_takes_two_searches_that_answer_for_both_occupants(hosting: Tree) -> None:
    role(hosting, f"mail=user1@domain2.example,{D2}", f"mail=user3@domain2.example,{D2}")
    outcome = ask(hosting, "virtual_alias_maps", "postmaster@domain2.example")
    assert len(hosting.searches) == 2
    known = outcome.known
    assert known["virtual_mailbox_maps", "user1@domain2.example"] == found(b"domain2.example/user1/")
    assert known["virtual_alias_maps", "user3@domain2.example"] == NODATA


def test_an_occupant_elsewhere_in_the_directory_is_found_by_its_dn(hosting: Tree) -> None:
    hosting.add(f"cn=Ann,o=accounts,{BASE}", objectClass=["person"], cn="Ann", mail="ann@staff.example")
    role(hosting, f"cn=Ann,o=accounts,{BASE}", f"mail=user1@domain2.example,{D2}")
    assert reply(hosting, "virtual_alias_maps", "postmaster@domain2.example") == found(
        b"ann@staff.example,user1@domain2.example"
    )


def test_an_entry_with_the_postmaster_address_comes_before_the_role(hosting: Tree) -> None:
    role(hosting, f"mail=user1@domain2.example,{D2}")
    account(hosting, "postmaster@domain2.example", "domain2.example/postmaster/")
    assert reply(hosting, "virtual_alias_maps", "postmaster@domain2.example") == NODATA


def test_the_role_comes_before_a_catch_all_and_answers_no_other_localpart(hosting: Tree) -> None:
    role(hosting, f"mail=user1@domain2.example,{D2}")
    alias(hosting, "@domain2.example", "all@else.example")
    assert reply(hosting, "virtual_alias_maps", "postmaster@domain2.example") == found(b"user1@domain2.example")
    assert reply(hosting, "virtual_alias_maps", "abuse@domain2.example") == found(b"all@else.example")


def test_a_role_of_the_same_name_deeper_in_the_domain_is_not_the_domains_postmaster(hosting: Tree) -> None:
    hosting.add(
        f"cn=postmaster,ou=unit,{D2}",
        objectClass=["organizationalRole"],
        cn="postmaster",
        roleOccupant=f"mail=user1@domain2.example,{D2}",
    )
    assert reply(hosting, "virtual_alias_maps", "postmaster@domain2.example") == NOT_FOUND


def test_an_address_is_searched_inside_its_own_domain_only(hosting: Tree) -> None:
    hosting.add(
        f"mail=evil,{D2}",
        objectClass=["courierMailAccount"],
        mail="user2@domain3.example",
        mailbox="domain3.example/user2/",
    )
    alias(hosting, "sink@domain2.example", "user9@domain3.example")
    for name in ("virtual_mailbox_maps", "virtual_alias_maps", "smtpd_sender_login_maps"):
        assert reply(hosting, name, "user2@domain3.example") == NOT_FOUND


def test_the_subtree_guard_is_the_search_base_and_can_be_widened(hosting: Tree) -> None:
    hosting.add(f"mail=shared,{D2}", objectClass=["courierMailAccount"], mail="u@d3", mailbox="d3/u/")
    wide = {"virtual_mailbox_maps": {"search_base": BASE}}
    assert reply(hosting, "virtual_mailbox_maps", "u@d3", maps=wide) == found(b"d3/u/")


@pytest.mark.parametrize(
    ("mailbox", "problem"),
    [
        ("", "no mailbox"),
        ("/domain2.example/evil/", "not relative"),
        ("domain2.example/evil", "does not end in /"),
        ("domain2.example/../domain3.example/user1/", r"holds \.\."),
        ("domain3.example/user1/", "does not begin with the domain"),
        ("domain2.examples/user1/", "does not begin with the domain"),
        ("domain2.example/a\nb/", "control character"),
        ("domain2.example/a\0b/", "control character"),
        (["domain2.example/a/", "domain2.example/b/"], "more than one"),
    ],
)
def test_a_mailbox_that_must_not_be_served_is_an_error_naming_the_entry(
    hosting: Tree, mailbox: Any, problem: str
) -> None:
    account(hosting, "evil@domain2.example", mailbox)
    with pytest.raises(DataError, match=f"mail=evil@domain2.example.*{problem}"):
        ask(hosting, "virtual_mailbox_maps", "evil@domain2.example")


def test_the_mailbox_guard_can_be_turned_off(hosting: Tree) -> None:
    account(hosting, "evil@domain2.example", "/srv/elsewhere")
    off = {"virtual_mailbox_maps": {"mailbox_guard": False}}
    assert reply(hosting, "virtual_mailbox_maps", "evil@domain2.example", maps=off) == found(b"/srv/elsewhere")


def test_two_mailboxes_for_one_address_are_an_error_naming_both(hosting: Tree) -> None:
    account(hosting, ["other@domain2.example", "user1@domain2.example"], "domain2.example/other/")
    with pytest.raises(DataError, match=r"mail=user1@domain2\.example.* and mail=other@domain2\.example"):
        ask(hosting, "virtual_mailbox_maps", "user1@domain2.example")


def test_a_broken_mailbox_is_known_as_an_error_from_an_alias_lookup(hosting: Tree) -> None:
    account(hosting, "evil@domain2.example", "/etc/")
    outcome = ask(hosting, "virtual_alias_maps", "evil@domain2.example")
    assert outcome.reply == NODATA
    assert isinstance(outcome.known["virtual_mailbox_maps", "evil@domain2.example"], DataError)


def test_one_search_answers_every_map_of_the_record(hosting: Tree) -> None:
    alias(hosting, "@domain2.example", "all@else.example")
    outcome = ask(hosting, "virtual_alias_maps", "user1+x@domain2.example")
    assert outcome.known == {
        ("virtual_mailbox_maps", "user1+x@domain2.example"): found(b"domain2.example/user1/"),
        ("virtual_alias_maps", "user1+x@domain2.example"): NODATA,
        ("smtpd_sender_login_maps", "user1+x@domain2.example"): found(b"user1@domain2.example"),
    }
    assert len(hosting.searches) == 1


def test_a_domain_is_an_organization_one_level_under_the_search_base(hosting: Tree) -> None:
    hosting.add(f"o=nested.example,{D2}", objectClass=["organization"], o="nested.example")
    hosting.add(f"o=two.example,{BASE}", objectClass=["organization"], o=["two.example", "other.example"])
    assert reply(hosting, "virtual_mailbox_domains", "domain2.example") == found(b"domain2.example")
    assert reply(hosting, "virtual_mailbox_domains", "two.example") == found(b"two.example")
    for absent in ("nested.example", "other.example", "hosting", "absent.example", "user1@domain2.example", ""):
        assert reply(hosting, "virtual_mailbox_domains", absent) == NOT_FOUND


@pytest.mark.parametrize("key", ["domain2.example", "*", "", "user1", "user1@"])
def test_a_key_without_a_domain_is_not_found_without_a_search(hosting: Tree, key: str) -> None:
    assert reply(hosting, "virtual_alias_maps", key) == NOT_FOUND
    assert hosting.searches == []


def test_the_logins_of_a_sender_are_the_addresses_of_its_account_or_the_targets_of_its_alias(hosting: Tree) -> None:
    assert reply(hosting, "smtpd_sender_login_maps", "three@domain2.example") == found(
        b"user3@domain2.example,third@domain2.example,three@domain2.example"
    )
    assert reply(hosting, "smtpd_sender_login_maps", "sales@domain2.example") == found(
        b"user1@domain2.example,joe@else.example"
    )


def test_uid_and_gid_come_from_the_account(hosting: Tree) -> None:
    account(hosting, "numbers@domain2.example", "domain2.example/n/", uidNumber="101", gidNumber="102")
    alias(hosting, "numbers+alias@domain2.example", "joe@else.example")
    assert reply(hosting, "virtual_uid_maps", "numbers+x@domain2.example") == found(b"101")
    assert reply(hosting, "virtual_uid_maps", "numbers+alias@domain2.example") == NODATA
    assert reply(hosting, "virtual_gid_maps", "numbers@domain2.example") == found(b"102")


def test_a_postfix_control_character_in_any_value_is_an_error(hosting: Tree) -> None:
    alias(hosting, "bad@domain2.example", "joe@else.example\nx")
    with pytest.raises(DataError, match="control character"):
        ask(hosting, "virtual_alias_maps", "bad@domain2.example")


def test_a_value_too_long_for_a_reply_is_an_error(hosting: Tree) -> None:
    alias(hosting, "long@domain2.example", "x" * 1_000_000)
    with pytest.raises(DataError, match="1000000 bytes"):
        ask(hosting, "virtual_alias_maps", "long@domain2.example")


def custom(**keys: Any) -> dict[str, Any]:
    return {"own": {"query_filter": "(mail=%s)", "result_attribute": "maildrop", **keys}}


def group(tree: Tree, name: str, **values: Any) -> str:
    entry = f"cn={name},{BASE}"
    tree.add(entry, objectClass=["group"], cn=name, mail=f"{name}@list.example", **values)
    return entry


def own(tree: Tree, key: str, **keys: Any) -> Reply:
    return reply(tree, "own", key, maps=custom(**keys), preset="")


def test_members_are_followed_to_any_depth_in_order(tree: Tree) -> None:
    inner = group(tree, "inner", maildrop="i@x")
    outer = group(tree, "outer", member=inner, maildrop="o@x")
    group(tree, "top", member=[outer, f"cn=missing,{BASE}"], maildrop="t@x")
    assert own(tree, "top@list.example", special_result_attribute="member") == found(b"i@x,o@x,t@x")


def test_a_ring_of_members_ends_at_the_recursion_limit(tree: Tree) -> None:
    ring = f"cn=ring,{BASE}"
    group(tree, "ring", member=ring, maildrop="r@x")
    with pytest.raises(DataError, match="recursion_limit of 5"):
        own(tree, "ring@list.example", special_result_attribute="member", recursion_limit=5)


def test_more_values_than_the_expansion_limit_are_an_error(tree: Tree) -> None:
    group(tree, "many", maildrop=["a@x", "b@x", "c@x"])
    assert own(tree, "many@list.example", expansion_limit=3) == found(b"a@x,b@x,c@x")
    with pytest.raises(DataError, match="expansion_limit of 2"):
        own(tree, "many@list.example", expansion_limit=2)


def test_leaf_attributes_count_only_where_there_is_no_member(tree: Tree) -> None:
    leaf = group(tree, "leaf", address="leaf@x")
    group(tree, "node", member=leaf, address="node@x")
    keys = {"special_result_attribute": "member", "leaf_result_attribute": "address", "result_attribute": []}
    assert own(tree, "node@list.example", **keys) == found(b"leaf@x")


def test_a_terminal_attribute_stops_everything_else_of_its_entry(tree: Tree) -> None:
    leaf = group(tree, "leaf", maildrop="leaf@x")
    group(tree, "node", member=leaf, maildrop="node@x", address="final@x")
    keys = {"special_result_attribute": "member", "terminal_result_attribute": "address"}
    assert own(tree, "node@list.example", **keys) == found(b"final@x")


def test_an_ldap_url_is_searched(tree: Tree) -> None:
    group(tree, "target", maildrop="t@x")
    group(tree, "url", ref=f"ldap:///{BASE.replace('=', '%3d')}?maildrop?sub?(cn=target)")
    assert own(tree, "url@list.example", special_result_attribute="ref") == found(b"t@x")


def test_the_result_format_is_applied_to_each_value(tree: Tree) -> None:
    group(tree, "fmt", maildrop=["a@x", "local"])
    assert own(tree, "fmt@list.example", result_format="%u:%D:%s") == found(
        b"a:list.example:a@x,local:list.example:local"
    )


def test_keys_outside_domain_are_not_asked_for(tree: Tree) -> None:
    group(tree, "in", maildrop="a@x")
    assert own(tree, "in@list.example", domain="list.example, other.example") == found(b"a@x")
    tree.searches.clear()
    assert own(tree, "in@list.example", domain="other.example") == NOT_FOUND
    assert tree.searches == []


def test_size_limit_counts_the_entries_of_one_query(tree: Tree) -> None:
    group(tree, "one", maildrop="a@x")
    tree.add(f"cn=two,{BASE}", objectClass=["group"], mail="one@list.example", maildrop="b@x")
    assert own(tree, "one@list.example", size_limit=2) == found(b"a@x,b@x")
    with pytest.raises(DataError, match="size_limit of 1"):
        own(tree, "one@list.example", size_limit=1)


def test_an_exact_map_asks_for_the_key_as_it_is(tree: Tree) -> None:
    tree.add(f"cn=star,{BASE}", objectClass=["group"], mail="*", maildrop="s@x")
    assert own(tree, "*", keys="exact") == found(b"s@x")
    assert own(tree, "a@b", keys="exact") == NOT_FOUND


def test_queries_that_only_the_server_can_compare_are_asked_one_by_one_in_order(tree: Tree) -> None:
    assert own(tree, "u+e@d", query_filter="(mail=%s*)") == NOT_FOUND
    assert [search.filter for search in tree.searches] == ["(mail=u+e@d*)", "(mail=u@d*)", "(mail=@d*)"]


def test_an_entry_of_a_subclass_counts_as_one_of_its_superclass(tree: Tree) -> None:
    tree.add(f"cn=x,{BASE}", objectClass=["sub"], mail="u@d", maildrop="a@x")
    assert own(tree, "u+e@d", query_filter="(&(objectClass=person)(mail=%s))") == found(b"a@x")
    assert len(tree.searches) == 1


def test_an_entry_that_shows_no_value_of_its_result_is_an_error_in_the_preset(hosting: Tree) -> None:
    role(hosting, f"mail=user1@domain2.example,{D2}")
    hosting.hidden = {"maildrop", "roleoccupant", "o", "uidnumber", "gidnumber"}
    asked = [
        ("virtual_alias_maps", "sales@domain2.example"),
        ("virtual_alias_maps", "postmaster@domain2.example"),
        ("virtual_mailbox_domains", "domain2.example"),
        ("virtual_uid_maps", "user1@domain2.example"),
        ("virtual_gid_maps", "user1@domain2.example"),
        ("smtpd_sender_login_maps", "sales@domain2.example"),
    ]
    for name, key in asked:
        with pytest.raises(DataError, match="no value that can be read"):
            ask(hosting, name, key)


def test_without_require_result_an_entry_without_a_value_is_not_found(tree: Tree) -> None:
    group(tree, "empty")
    assert own(tree, "empty@list.example") == NOT_FOUND
    with pytest.raises(DataError, match="no value that can be read"):
        own(tree, "empty@list.example", require_result=True)


def test_a_query_at_another_base_is_a_search_of_its_own(tree: Tree) -> None:
    maps = {
        "own": {
            "query": [
                {"search_base": f"ou=a,{BASE}", "query_filter": "(mail=%s)"},
                {"search_base": f"ou=b,{BASE}", "scope": "one", "query_filter": "(mail=%s)"},
            ]
        }
    }
    tree.add(f"cn=x,ou=b,{BASE}", mail="u@d", maildrop="b@x")
    assert reply(tree, "own", "u@d", maps=maps, preset="") == found(b"b@x")
    assert [(s.base, s.scope) for s in tree.searches] == [(f"ou=a,{BASE}", Scope.SUB), (f"ou=b,{BASE}", Scope.ONE)]


@pytest.mark.parametrize("key", ["a*b@d", "a)(b@d", "\0@d", "a\\2a@d", "ü@d", 'x@d,e"x'])
def test_no_key_breaks_out_of_filter_or_base(hosting: Tree, key: str) -> None:
    for name in ("virtual_alias_maps", "virtual_mailbox_maps", "smtpd_sender_login_maps"):
        assert reply(hosting, name, key) == NOT_FOUND


def test_only_a_base_that_does_not_depend_on_the_key_must_exist(tree: Tree) -> None:
    own(tree, "u@d")
    own(tree, "u@d", search_base=f"o=%d,{BASE}")
    assert [search.base_exists for search in tree.searches] == [True, False]
