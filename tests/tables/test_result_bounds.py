"""A result ends as soon as it cannot be a reply any more, whatever a tenant has put there."""

from __future__ import annotations

from typing import NoReturn

import pytest

from vmaild.errors import DataError
from vmaild.lookup import Entry
from vmaild.tables.results import VALUE_LIMIT, VALUES_LIMIT, Expansion, values_of
from vmaild.tables.template import Parts, Template

KEY = Parts.of("a@d.example")
PLAIN = Expansion(("maildrop",))


def entry(*values: bytes) -> Entry:
    return Entry("cn=x", {"maildrop": values})


def numbered(count: int, form: bytes = b"%d@x") -> list[bytes]:
    return [form % number for number in range(count)]


def test_as_many_values_as_are_allowed_make_a_result_and_one_more_does_not() -> None:
    assert len(values_of(PLAIN, KEY, [entry(*numbered(VALUES_LIMIT))])) == VALUES_LIMIT
    with pytest.raises(DataError, match=f"more than {VALUES_LIMIT} values"):
        values_of(PLAIN, KEY, [entry(*numbered(VALUES_LIMIT + 1))])


def test_values_of_several_entries_are_counted_together_even_when_they_are_the_same() -> None:
    half = entry(*numbered(VALUES_LIMIT // 2 + 1))
    with pytest.raises(DataError, match=f"more than {VALUES_LIMIT} values"):
        values_of(PLAIN, KEY, [half, half])


def test_values_that_all_become_the_same_are_counted() -> None:
    same = Expansion(("maildrop",), result_format=Template("%d"))
    assert values_of(same, KEY, [entry(*numbered(100))]) == ["x"]
    with pytest.raises(DataError, match=f"more than {VALUES_LIMIT} values"):
        values_of(same, KEY, [entry(*numbered(VALUES_LIMIT + 1))])


def test_a_result_has_the_length_of_a_reply_at_most() -> None:
    long = b"%0100d"
    fits = VALUE_LIMIT // 101
    assert len(values_of(PLAIN, KEY, [entry(*numbered(fits, long))])) == fits
    with pytest.raises(DataError, match="too long for one reply"):
        values_of(PLAIN, KEY, [entry(*numbered(fits + 1, long))])


def test_what_comes_after_that_is_not_looked_at() -> None:
    class Untouched(dict[str, tuple[bytes, ...]]):
        def get(self, *_: object) -> NoReturn:
            raise AssertionError("looked at")

        __iter__ = __getitem__ = get

    with pytest.raises(DataError, match="too long for one reply"):
        values_of(PLAIN, KEY, [entry(*numbered(2000, b"%0100d")), Entry("cn=y", Untouched())])


@pytest.mark.parametrize("bad", [b"\xff", b"a\nb", b"x" * (VALUE_LIMIT + 1)])
def test_one_bad_value_among_many_is_refused_as_it_is_by_itself(bad: bytes) -> None:
    messages = set()
    for values in ([bad, b"y"], [*numbered(50), bad]):
        with pytest.raises(DataError) as refused:
            values_of(PLAIN, KEY, [entry(*values)])
        messages.add(str(refused.value))
    assert len(messages) == 1


def test_an_attribute_that_came_without_its_values_is_no_empty_result() -> None:
    """An access rule may show that it is there, and nothing else."""
    with pytest.raises(DataError, match="the values of maildrop could not be read"):
        values_of(PLAIN, KEY, [entry()])


@pytest.mark.parametrize(
    ("name", "value"),
    [("mail=B@d.example,o=x", "b@d.example"), ("cn=b,o=x", "a@d.example"), ("no DN", "a@d.example")],
)
def test_of_one_value_per_entry_it_is_that_of_the_rdn_or_else_the_first(name: str, value: str) -> None:
    one = Expansion(("mail",), one_value_per_entry=True)
    many = Entry(name, {"mail": (b"a@d.example", b"b@d.example")})
    other = Entry("cn=c,o=x", {"mail": (b"c@d.example",)})
    assert values_of(one, KEY, [many, other]) == [value, "c@d.example"]


def test_values_are_counted_before_one_of_each_entry_is_taken() -> None:
    one = Expansion(("maildrop",), one_value_per_entry=True)
    with pytest.raises(DataError, match=f"more than {VALUES_LIMIT} values"):
        values_of(one, KEY, [entry(*numbered(VALUES_LIMIT + 1))])
