"""Search keys, extensions and quoting, against what Postfix's split_addr(3) and mail_addr_find(3) do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmaild.tables import address, keys_of_parameters


def texts(key: str, delimiters: str = "+", **options: bool) -> list[str]:
    return [found.text for found in address.search_keys(key, delimiters, **options)]


def test_ascii_is_lower_cased_and_other_letters_are_case_folded() -> None:
    assert address.fold(b"User@Domain2.EXAMPLE") == b"user@domain2.example"
    assert address.fold("JÜRGEN@MÜLLER.example".encode()) == "jürgen@müller.example".encode()


@pytest.mark.parametrize("key", [b"user\xff@domain", b"user@domain\0", b"\0"])
def test_a_key_that_is_not_utf8_or_holds_a_nul_has_no_folded_form(key: bytes) -> None:
    assert address.fold(key) is None


def test_the_search_order_is_full_address_then_without_extension_then_domain() -> None:
    assert texts("user+news@d.example") == ["user+news@d.example", "user@d.example", "@d.example"]


def test_without_a_delimiter_nothing_is_split() -> None:
    assert texts("user+news@d.example", "") == ["user+news@d.example", "@d.example"]


def test_the_extension_goes_with_the_key_that_left_it_out_and_not_with_the_catch_all() -> None:
    keys = address.search_keys("user+a+b@d", "+")
    assert [(key.text, key.extension) for key in keys] == [("user+a+b@d", ""), ("user@d", "+a+b"), ("@d", "")]


@pytest.mark.parametrize(
    ("localpart", "delimiters", "expected"),
    [
        ("user+x", "+", ("user", "+x")),
        ("user-x", "+", ("user-x", "")),
        ("user-a+b", "+-", ("user", "-a+b")),
        ("user+a-b", "+-", ("user", "+a-b")),
        ("+x", "+", ("+x", "")),
        ("user+", "+", ("user", "+")),
        ("postmaster", "s", ("postmaster", "")),
        ("mailer-daemon", "-", ("mailer-daemon", "")),
        ("double-bounce", "-", ("double-bounce", "")),
        ("owner-list", "-", ("owner-list", "")),
        ("list-request", "-", ("list-request", "")),
        ("owner-list", "+", ("owner-list", "")),
        ("owner-list+x", "+", ("owner-list", "+x")),
        ("-request", "-", ("-request", "")),
        ("mailer-daemon-x", "-", ("mailer", "-daemon-x")),
    ],
)
def test_extensions_are_split_as_postfix_splits_them(
    localpart: str, delimiters: str, expected: tuple[str, str]
) -> None:
    assert address.split_extension(localpart, delimiters) == expected


def test_owner_and_request_are_split_when_they_are_not_special() -> None:
    assert address.split_extension("owner-list", "-", owner_request_special=False) == ("owner", "-list")
    assert address.split_extension("list-request", "-", owner_request_special=False) == ("list", "-request")


def test_the_localpart_ends_at_the_last_at_sign() -> None:
    assert address.split("a@b@c.example") == ("a@b", "c.example")
    assert texts('"a@b"@c.example')[0] == '"a@b"@c.example'


def test_an_address_literal_is_a_domain_like_any_other() -> None:
    assert texts("user@[192.0.2.1]") == ["user@[192.0.2.1]", "@[192.0.2.1]"]


@pytest.mark.parametrize("key", ["", "domain.example", "*", "user@", "@"])
def test_what_has_no_domain_has_no_search_keys(key: str) -> None:
    assert texts(key) == []


def test_the_empty_localpart_asks_for_the_catch_all_only() -> None:
    assert texts("@d.example") == ["@d.example"]


def test_a_quoted_localpart_is_looked_up_with_and_without_its_quotes() -> None:
    assert texts('"john doe"@d') == ['"john doe"@d', "john doe@d", "@d"]
    assert texts('"john"@d') == ["john@d", "@d"]


def test_a_localpart_that_needs_quotes_is_looked_up_with_them_too() -> None:
    assert texts("john doe@d") == ['"john doe"@d', "john doe@d", "@d"]


def test_an_extension_inside_quotes_is_an_extension() -> None:
    keys = address.search_keys('"john doe+x y"@d', "+")
    assert [(key.text, key.extension) for key in keys][2:] == [
        ('"john doe"@d', "+x y"),
        ("john doe@d", "+x y"),
        ("@d", ""),
    ]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("mary@x.example", "mary+news@x.example"),
        ("mary@x.example,joe@y.example", "mary+news@x.example,joe+news@y.example"),
        ("mary@x.example, joe@y.example", "mary+news@x.example,joe+news@y.example"),
        ("localuser", "localuser+news"),
        ("@other.example", "@other.example"),
        ('"john doe"@x', '"john doe+news"@x'),
        ('"a,b"@x', '"a,b+news"@x'),
    ],
)
def test_an_extension_goes_behind_each_localpart_of_a_result(value: str, expected: str) -> None:
    assert address.add_extension(value, "+news") == expected


def test_an_extension_that_needs_quotes_makes_the_localpart_quoted() -> None:
    assert address.add_extension("mary@x", "+a b") == '"mary+a b"@x'


@given(st.text(max_size=40))
def test_quoting_a_localpart_and_taking_the_quotes_off_gives_it_back(localpart: str) -> None:
    if address.unquote(localpart) == localpart:
        assert address.unquote(address.quote(localpart)) == localpart


@given(st.text(max_size=60), st.sampled_from(["", "+", "+-", "-"]))
def test_every_search_key_is_an_address_of_the_same_domain(key: str, delimiters: str) -> None:
    for found in address.search_keys(key, delimiters):
        domain = key.rpartition("@")[2]
        assert found.text.rpartition("@")[2] in (domain, address.other_labels(domain))


@given(st.text(max_size=30))
def test_the_other_form_of_a_domain_is_the_name_of_a_host(domain: str) -> None:
    other = address.other_labels(domain)
    if other is not None:
        assert not set(other) & set(" @\0\r\n\t\u00a0(),*\\")


def test_a_quoted_form_only_where_postfix_asks_no_other() -> None:
    found = address.search_keys('"john doe+x"@d', "+", quoted_only=True)
    assert [key.text for key in found] == ['"john doe+x"@d', '"john doe"@d', "@d"]


def test_a_domain_in_u_labels_and_in_a_labels_is_one() -> None:
    assert texts("a@müller.example") == [
        "a@müller.example", "a@xn--mller-kva.example", "@müller.example", "@xn--mller-kva.example",
    ]  # fmt: skip
    assert texts("a@xn--mller-kva.example")[1] == "a@müller.example"
    assert texts("a@xn--.example") == ["a@xn--.example", "@xn--.example"], "no IDNA: as it is"
    assert texts("ü@d.example") == ["ü@d.example", "@d.example"]


def test_a_bare_domain_in_u_labels_and_in_a_labels_is_one() -> None:
    assert [key.text for key in keys_of_parameters.domain("müller.example")] == [
        "müller.example", "xn--mller-kva.example",
    ]  # fmt: skip


def test_a_local_domain_may_be_named_in_either_form() -> None:
    for key in ("ann+x@müller.example", "ann+x@xn--mller-kva.example"):
        for listed in ("müller.example", "xn--mller-kva.example"):
            found = [one.text for one in keys_of_parameters.local(key, "+", domains=frozenset([listed]))]
            assert found[4:6] == ["ann+x", "ann"]


def test_a_quoted_localpart_alone_is_looked_for_as_the_address_is() -> None:
    key = '"john doe+x"@d'
    both = [one.text for one in keys_of_parameters.local(key, "+", domains={"d"})]
    assert both[4:8] == ['"john doe+x"', "john doe+x", '"john doe"', "john doe"]
    quoted = [one.text for one in keys_of_parameters.local(key, "+", quoted_only=True, domains={"d"})]
    assert quoted == [key, '"john doe"@d', '"john doe+x"', '"john doe"', "@d"]


@pytest.mark.parametrize(
    ("value", "extended"),
    [
        ("Name <named@t>", "named+n@t"),
        ('"A, B" <named@t>, other@t', "named+n@t,other+n@t"),
        ("<named@t>", "named+n@t"),
        ('"a<b"@t', '"a<b+n"@t'),
    ],
)
def test_an_extension_goes_to_the_address_behind_a_name(value: str, extended: str) -> None:
    assert address.add_extension(value, "+n") == extended


@pytest.mark.parametrize("text", ["", "a", "a@", "@"])
def test_what_has_no_domain_is_no_address(text: str) -> None:
    assert address.split(text) is None


@pytest.mark.parametrize(("key", "forms"), [("root", ["root"]), ("root+x", ["root+x", "root"])])
def test_a_bare_name_is_a_local_users_whatever_the_domains(key: str, forms: list[str]) -> None:
    assert [one.text for one in keys_of_parameters.local(key, "+", domains={"d"})] == forms


def test_owner_and_request_are_special_as_in_postfix_unless_it_is_said_otherwise() -> None:
    assert [key.text for key in address.search_keys("owner-list@d", "-")] == ["owner-list@d", "@d"]
    told = address.search_keys("owner-list@d", "-", owner_request_special=False)
    assert [key.text for key in told] == ["owner-list@d", "owner@d", "@d"]
