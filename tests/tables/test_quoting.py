"""DNs and filters: quoting, reading, comparing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmaild.lookup import Entry
from vmaild.tables import dn, filter
from vmaild.tables.filter import FilterTemplate, FoldedEntry
from vmaild.tables.template import Parts


@pytest.mark.parametrize(
    ("value", "quoted"),
    [
        ("domain2.example", "domain2.example"),
        ("a,b", "a\\2cb"),
        ("#x", "\\23x"),
        (" x ", "\\20x\\20"),
        ("a=b+c", "a\\3db\\2bc"),
        ("\0", "\\00"),
        ("ü", "\\c3\\bc"),
    ],
)
def test_dn_values_are_quoted_byte_by_byte(value: str, quoted: str) -> None:
    assert dn.quote(value) == quoted


@pytest.mark.parametrize(
    ("value", "quoted"),
    [
        ("user@domain", "user@domain"),
        ("*", "\\2a"),
        (")(mail=*", "\\29\\28mail=\\2a"),
        ("\\2a", "\\5c2a"),
        ("a\0b", "a\\00b"),
        ("ü", "\\c3\\bc"),
    ],
)
def test_filter_values_are_quoted_byte_by_byte(value: str, quoted: str) -> None:
    assert filter.quote(value) == quoted


@given(st.text(max_size=30), st.text(max_size=30))
def test_a_quoted_dn_value_is_read_back_as_one_value(first: str, second: str) -> None:
    parsed = dn.parse(f"o={dn.quote(first)},dc={dn.quote(second)}")
    assert [len(rdn) for rdn in parsed] == [1, 1]
    assert dn.same(f"o={dn.quote(first)}", f"O={dn.quote(first)}")


def test_dns_are_the_same_whatever_their_case_and_spaces() -> None:
    assert dn.same("mail=User1@D.example, o=D.example , dc=x", "MAIL=user1@d.example,o=d.example,dc=x")
    assert not dn.same("mail=user1@d.example,dc=x", "mail=user2@d.example,dc=x")


def test_a_hex_pair_and_the_letter_it_stands_for_are_the_same() -> None:
    assert dn.same("cn=a\\2cb,dc=x", "cn=a\\,b,dc=x")
    assert dn.same("cn=Team #1,dc=x", "cn=team \\231,dc=x")


def test_an_rdn_of_several_values_is_the_same_in_any_order() -> None:
    assert dn.same("cn=a+o=b,dc=x", "o=b+cn=a,dc=x")


@pytest.mark.parametrize("text", ["mail", "=x", "cn=a,", "cn=a\\", 'cn="a",dc=x'])
def test_what_is_no_dn_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="malformed DN"):
        dn.parse(text)


def test_under_tells_a_subtree_from_a_name_that_ends_alike() -> None:
    base = dn.parse("o=d.example,dc=x")
    assert dn.under(dn.parse("mail=a,o=d.example,dc=x"), base)
    assert not dn.under(dn.parse("mail=a,o=xd.example,dc=x"), base)


ENTRY = Entry("mail=a@d,dc=x", {"objectclass": (b"top", b"courierMailAccount"), "mail": (b"A@d", b"b@d")})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(mail=%s)", True),
        ("(&(mail=%s)(objectClass=CourierMailAccount))", True),
        ("(&(mail=%s)(objectClass=courierMailAlias))", False),
        ("(|(objectClass=courierMailAlias)(mail=b@d))", True),
        ("(!(mail=%s))", False),
        ("(mail=*)", True),
        ("(mailbox=*)", False),
        ("(MAIL=\\61@d)", True),
    ],
)
def test_a_filter_is_evaluated_as_the_server_would(text: str, expected: bool) -> None:
    template = FilterTemplate(text)
    assert template.evaluable
    assert template.matches(FoldedEntry(ENTRY), Parts.of("a@d")) is expected


@pytest.mark.parametrize(
    "text", ["(mail=a*)", "(uidNumber>=5)", "(mail~=x)", "(cn:dn:=x)", "(cn;lang-de=x)", "(&(a=b)(c<=d))"]
)
def test_a_filter_that_needs_the_schema_is_not_evaluable(text: str) -> None:
    assert not FilterTemplate(text).evaluable


@pytest.mark.parametrize(
    "text", ["", "mail=%s", "(mail=%s", "(mail=%s))", "(&)", "(!(a=b)(c=d))", "(=x)", "(mail=a(b)", "(mail=%x)"]
)
def test_a_malformed_filter_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        FilterTemplate(text)


@given(st.text(min_size=1, max_size=30))
def test_no_key_changes_the_structure_of_a_filter(key: str) -> None:
    expanded = FilterTemplate("(mail=%s)").expand(Parts.of(key))
    assert expanded is not None
    assert expanded.count("(") == expanded.count(")") == 1
    assert "*" not in expanded
    assert "\0" not in expanded
