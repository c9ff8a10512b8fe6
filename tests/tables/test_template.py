"""%-templates, as ldap_table(5) and db_common.c define them."""

from __future__ import annotations

import pytest

from vmaild.tables.template import Parts, Template

KEY = Parts.of("user@mail.sub.example")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("%s", "user@mail.sub.example"),
        ("%u", "user"),
        ("%d", "mail.sub.example"),
        ("%S|%U|%D", "user@mail.sub.example|user|mail.sub.example"),
        ("dc=%3,dc=%2,dc=%1", "dc=mail,dc=sub,dc=example"),
        ("100%%", "100%"),
        ("plain", "plain"),
    ],
)
def test_a_query_template_is_filled_from_the_key(text: str, expected: str) -> None:
    assert Template(text).expand_query(KEY) == expected


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("%d", "user"),
        ("%D", "user"),
        ("%u", "@d.example"),
        ("%4", "u@mail.sub.example"),
        ("%1", "user"),
        ("%3", "u@a..b"),
    ],
)
def test_a_missing_part_means_nothing_to_ask(text: str, key: str) -> None:
    assert Template(text).expand_query(Parts.of(key)) is None


def test_the_whole_key_is_the_localpart_where_there_is_no_at_sign() -> None:
    assert Template("%u").expand_query(Parts.of("domain.example")) == "domain.example"


def test_a_percent_sign_and_braces_of_the_template_itself_stand_for_themselves() -> None:
    assert Template("({%s})%%").expand_query(Parts.of("x%s{0}")) == "({x%s{0}})%"


def test_pieces_are_the_text_and_what_is_inserted_in_order() -> None:
    pieces = [piece if isinstance(piece, str) else piece(KEY) for piece in Template("a%u%%b%1").pieces]
    assert pieces == ["a", "user", "%", "b", "example"]


@pytest.mark.parametrize(("text", "dynamic"), [("x", False), ("100%%", False), ("%d", True), ("%2", True)])
def test_it_tells_whether_it_depends_on_the_key(text: str, dynamic: bool) -> None:
    assert Template(text).dynamic is dynamic


def test_a_result_template_takes_small_letters_from_the_value_and_capitals_from_the_key() -> None:
    value = Parts.of("box@other.example")
    assert Template("%s %u %d %S %U %D %1").expand_result(value, KEY) == (
        "box@other.example box other.example user@mail.sub.example user mail.sub.example example"
    )


def test_an_empty_value_and_one_without_the_part_wanted_give_nothing() -> None:
    assert Template("%s").expand_result(Parts.of(""), KEY) is None
    assert Template("%d").expand_result(Parts.of("local"), KEY) is None


@pytest.mark.parametrize("text", ["%", "%x", "a%0", "%e"])
def test_an_unknown_letter_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="unknown %"):
        Template(text)
