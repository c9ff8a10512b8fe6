"""Change sequence numbers and cookies as slapd writes them, compared per server id."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmaild.directory.sync_cookie import MAX_COOKIE, Cookie, Csn

OLD = "20261125225832.123456Z#000000#000#000000"
NEW = "20261125225832.123457Z#000000#000#000000"
OTHER = "20200101000000.000000Z#0000ff#00a#000001"

csns = st.builds(
    lambda second, number, sid, mod: Csn(f"202611252258{second:02}.000000", number, sid, mod),
    *(st.integers(0, 59), st.integers(0, 2), st.integers(0, 3), st.integers(0, 2)),
)
cookies = st.builds(Cookie, st.lists(csns, max_size=6))


def cookie(*texts: str) -> Cookie:
    return Cookie(map(Csn.parse, texts))


def test_a_csn_is_read_and_written_as_slapd_does() -> None:
    assert Csn.parse(OTHER) == Csn("20200101000000.000000", 255, 10, 1)
    assert str(Csn.parse(OTHER)) == OTHER
    assert str(Csn.parse("20080102030405Z#000001#00#000000")) == "20080102030405.000000Z#000001#000#000000"


@pytest.mark.parametrize("text", ["", "x", OLD[:-1], OLD + "0", OLD.replace("Z", ""), OLD.replace("2026", "²026")])
def test_what_is_no_csn_is_refused(text: Any) -> None:
    with pytest.raises(ValueError, match="change sequence"):
        Csn.parse(text)


def test_later_is_time_then_number_then_part() -> None:
    ordered = [OLD, OLD[:-1] + "1", OLD.replace("#000000#000#", "#000001#000#"), NEW]
    assert sorted(map(Csn.parse, reversed(ordered))) == list(map(Csn.parse, ordered))
    assert Csn.parse(OLD.replace("000000#000#", "00000a#000#")) < Csn.parse(OLD.replace("000000#000#", "000010#000#"))


def test_a_cookie_is_read_and_written_as_slapd_does() -> None:
    state = cookie(OTHER, OLD)
    assert bytes(state) == f"rid=000,csn={OLD};{OTHER}".encode()
    assert Cookie.parse(bytes(state)) == state
    assert Cookie.parse(f"rid=123,sid=00a,csn={OLD};{OTHER},delcsn={NEW}".encode()) == state
    assert Cookie.parse(b"rid=000") == Cookie.parse(b"rid=000,csn=") == Cookie()
    assert bytes(Cookie()) == b""
    assert Cookie.of_context([OTHER.encode(), OLD.encode()]) == state
    assert len({state, cookie(OLD, OTHER)}) == 1
    assert OLD in repr(state)


@pytest.mark.parametrize(
    "data", [b"", b"x", b"rid=000,csn=x", b"rid=000,csn=\xff", b"rid=000," + b"x=," * (MAX_COOKIE // 3)]
)
def test_what_is_no_cookie_is_refused(data: Any) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of several places
        Cookie.parse(data)


def test_a_state_is_behind_when_it_lacks_a_change_of_any_server() -> None:
    assert cookie(OLD).is_behind(cookie(NEW))
    assert not cookie(NEW).is_behind(cookie(OLD))
    assert not cookie(OLD).is_behind(cookie(OLD))
    assert cookie(NEW).is_behind(cookie(OTHER))
    assert cookie(NEW, OTHER).is_behind(cookie(NEW.replace("#000#", "#001#")))
    assert Cookie().is_behind(cookie(OLD))
    assert not Cookie().is_behind(Cookie())


def test_a_change_of_one_server_keeps_what_was_known_of_the_others() -> None:
    assert cookie(OLD, OTHER).merged(cookie(NEW)) == cookie(NEW, OTHER)
    assert cookie(NEW).merged(cookie(OLD)) == cookie(NEW)


@given(cookies, cookies)
def test_the_merged_state_is_behind_neither(one: Any, other: Any) -> None:
    merged = one.merged(other)
    assert merged == other.merged(one)
    assert not merged.is_behind(one)
    assert not merged.is_behind(other)
    assert one.is_behind(other) == (merged != one)
    assert Cookie.parse(bytes(merged) or b"rid=000") == merged
