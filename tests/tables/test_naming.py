"""Which keys an entry answers or could answer: the maps of the preset, and some of one's own, read backwards."""

from __future__ import annotations

from typing import Any

import pytest

from vmaild.config.maps import Common, read_maps
from vmaild.config.section import Problems
from vmaild.tables import dn
from vmaild.tables.naming import Named, Naming

BASE = "o=hosting,dc=x"
DOMAIN = f"o=d.example,{BASE}"


def naming(preset: str = "courier", **maps: object) -> dict[str, Naming]:
    problems = Problems("test")
    read = read_maps(preset, maps, Common(BASE, "+"), problems)
    assert problems.found == []
    return {group.tables[0].name: Naming(group) for group in read.groups}


def of(name: str, attributes: dict[str, tuple[bytes, ...]], which: str = "virtual_mailbox_maps") -> Named:
    return naming()[which].of(name, attributes)


def test_an_account_names_its_addresses() -> None:
    named = of(f"mail=a@d.example,{DOMAIN}", {"mail": (b"A@D.example", b"b@d.example")})
    domain = frozenset({"d.example"})
    assert named == Named(frozenset({"a@d.example", "b@d.example"}), frozenset(), all_keys=False, places=domain)


def test_an_address_of_another_domain_is_not_named_as_the_maps_would_not_find_it() -> None:
    assert of(f"mail=a@d.example,{DOMAIN}", {"mail": (b"a@e.example",)}).keys == frozenset()


def test_the_domain_is_read_with_its_escapes_and_letter_case() -> None:
    named = of("mail=a@d.example,o=D.\\65xample,o=Hosting, dc=X", {"mail": (b"a@d.example",)})
    assert named.keys == {"a@d.example"}


def test_the_role_names_postmaster() -> None:
    assert of(f"cn=postmaster,{DOMAIN}", {}).keys == {"postmaster@d.example"}


def test_an_organization_names_its_domain_and_what_stands_elsewhere_nothing() -> None:
    assert of(DOMAIN, {"o": (b"d.example",)}, "virtual_mailbox_domains").keys == {"d.example"}
    assert of(f"ou=x,{DOMAIN}", {}, "virtual_mailbox_domains") == Named(frozenset(), frozenset(), all_keys=False)
    assert of("uid=x,dc=x", {"mail": (b"x@d.example",)}) == Named(frozenset(), frozenset(), all_keys=False)


def test_the_domain_of_what_stands_below_is_told_by_the_dn() -> None:
    def domains(name: Any) -> Any:
        return {place.domain(dn.parse(name)) for place in naming()["virtual_mailbox_maps"].places} - {None}

    assert domains(f"ou=deep,ou=people,{DOMAIN}") == {"d.example"}
    assert domains("dc=x") == set()


def test_what_an_entry_can_name_at_all_is_told_by_the_dn_or_may_be_anything() -> None:
    mailboxes = naming()["virtual_mailbox_maps"]
    assert mailboxes.within(f"mail=x,{DOMAIN}") == {"d.example"}
    assert mailboxes.within("dc=x") == frozenset()
    assert mailboxes.within("nonsense") is None
    anywhere = naming(own={"query_filter": "(mail=%s)", "search_base": BASE, "keys": "exact"})["own"]
    assert anywhere.within(f"mail=x,{DOMAIN}") is None


def test_where_the_dn_has_the_whole_key_its_domain_is_that_of_the_key() -> None:
    query = {"query_filter": "(objectClass=*)", "search_base": f"mail=%s,{BASE}", "scope": "base", "keys": "exact"}
    own = naming(own=query)["own"]
    assert own.within(f"mail=a@D.example,{BASE}") == {"d.example"}
    assert own.within(f"uid=a@d.example,{BASE}") == frozenset()
    named = own.of(f"mail=a@D.example,{BASE}", {})
    assert (named.keys, named.places) == ({"a@d.example"}, {"d.example"})


@pytest.mark.parametrize(
    ("query_filter", "keys", "all_keys"),
    [
        ("(mail=%s)", {"a@d.example"}, False),
        ("(|(mail=%s)(alt=%s))", {"a@d.example", "b@d.example"}, False),
        ("(&(uid=%u)(mail=%s))", {"a@d.example"}, False),
        ("(&(mail=%s)(!(gone=TRUE)))", {"a@d.example"}, False),
        ("(uid=%u)", set(), True),
        ("(mail=*%s)", set(), True),
        ("(mail>=%s)", set(), True),
        ("(!(mail=%s))", set(), True),
        ("(|(mail=%s)(objectClass=other))", set(), True),
        ("(objectClass=person)", set(), True),
    ],
)
def test_a_filter_of_ones_own(query_filter: str, keys: Any, all_keys: bool) -> None:
    own = naming("", own={"query_filter": query_filter})["own"]
    named = own.of("cn=x,o=hosting,dc=x", {"mail": (b"a@d.example",), "alt": (b"b@d.example",), "uid": (b"a",)})
    assert (set(named.keys), named.all_keys) == (keys, all_keys)


@pytest.mark.parametrize("base", ["ou=%u-x,dc=x", "ou=%1,dc=x", "cn=a+ou=%d,dc=x"])
def test_a_search_base_that_cannot_be_read_backwards_leaves_it_to_the_filter(base: str) -> None:
    own = naming("", own={"search_base": base, "query_filter": "(mail=%s)"})["own"]
    assert own.of("cn=elsewhere", {"mail": (b"a@d.example",)}).keys == {"a@d.example"}
    own = naming("", own={"search_base": base, "query_filter": "(objectClass=person)"})["own"]
    assert own.of("cn=elsewhere", {}).all_keys


def test_what_has_no_readable_dn_may_be_anything() -> None:
    assert of("no DN", {}).all_keys
