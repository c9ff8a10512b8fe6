"""DNs and filters: quoting, reading, comparing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tables import evaluator
from vmaild.tables import dn, filter


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


@given(st.lists(st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,3}=[A-Za-z0-9@._-]{1,8}", fullmatch=True), min_size=1))
def test_a_dn_without_escapes_and_spaces_is_read_as_any_other(rdns: list[str]) -> None:
    assert dn.parse(",".join(rdns)) == dn.parse(" , ".join(rdns))
    assert dn.parse(",".join(rdns), str) == dn.parse(" , ".join(rdns), str)


@pytest.mark.parametrize("text", ["mail", "=x", ",cn=a", "cn=a,", "cn=a,,dc=x", "cn=a\\", 'cn="a",dc=x'])
def test_what_is_no_dn_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="malformed DN"):
        dn.parse(text)


def test_under_tells_a_subtree_from_a_name_that_ends_alike() -> None:
    base = dn.parse("o=d.example,dc=x")
    assert dn.under(dn.parse("mail=a,o=d.example,dc=x"), base)
    assert not dn.under(dn.parse("mail=a,o=xd.example,dc=x"), base)


SCHEMA = evaluator.schema()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("commonName=Team #1,DC=x", "cn=team  \\231, dc=X"),
        ("2.5.4.3=a\\2cb,dc=x", "cn=a\\,b,dc=x"),
        ("cn=a+o=b,dc=x", "O=B+CN=A,dc=x"),
    ],
)
def test_the_schema_tells_names_of_one_entry_by_its_names_of_attributes(one: str, other: str) -> None:
    name = dn.canonical(one, SCHEMA)
    assert name is not None
    assert name == dn.canonical(other, SCHEMA)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("cn=straße,dc=x", "only the server knows whether ß is ss"),
        ("cn=stra\\c3\\9fe,dc=x", "the same, escaped"),
        ("cn=\u212a,dc=x", "KELVIN SIGN is K in lower case"),
        ("cn=#0c0161,dc=x", "a hexadecimal BER value"),
        ("password=A,dc=x", "compared with regard to case"),
        ("uidNumber=01,dc=x", "compared as a number"),
        ("unknown=a,dc=x", "not in the schema"),
        ("cn=a", "none"),
        ("cn", "no DN"),
    ],
)
def test_a_name_that_only_the_server_can_compare_has_no_canonical_form(text: str, why: str) -> None:
    assert (dn.canonical(text, SCHEMA) is None) == (why != "none")
