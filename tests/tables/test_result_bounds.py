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
