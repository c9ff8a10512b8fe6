"""The bytes of LDAP that vmaild reads and writes itself, in every length form and cut anywhere."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmaild.directory import ber


def length(size: int, form: int) -> bytes:
    """``size`` in the short form, or in ``form`` bytes; servers use both."""
    return bytes([size]) if not form else bytes([0x80 + form]) + size.to_bytes(form, "big")


def message(tag: int, code: int, message_id: int, form: int = 0) -> bytes:
    number = message_id.to_bytes((message_id.bit_length() // 8) + 1, "big")
    result = b"\x0a\x01" + bytes([code]) + b"\x04\x00\x04\x00"
    body = b"\x02" + length(len(number), 0) + number + bytes([tag]) + length(len(result), form) + result
    return b"\x30" + length(len(body), form) + body


@given(code=st.integers(0, 127), message_id=st.integers(1, 2**31 - 1), form=st.sampled_from([0, 1, 2, 4]))
def test_the_result_code_of_a_search_is_read_in_every_length_form(code: Any, message_id: Any, form: Any) -> None:
    whole = message(0x65, code, message_id, form)
    assert ber.search_result(whole[:48], message_id) == code
    assert ber.search_result(whole, message_id + 1) is None
    assert ber.message_size(whole) == len(whole)
    for cut in range(len(whole)):
        assert ber.search_result(whole[:cut], message_id) in (None, code)
        assert ber.message_size(whole[:cut]) in (None, len(whole))


@pytest.mark.parametrize("tag", [0x64, 0x73, 0x61, 0x78])
def test_other_messages_have_no_search_result(tag: int) -> None:
    assert ber.search_result(message(tag, 10, 3), 3) is None


@given(st.binary(max_size=64))
def test_any_bytes_give_a_code_or_none(data: Any) -> None:
    code = ber.search_result(data, 5)
    assert code is None or 0 <= code <= 255


@given(st.binary(max_size=64))
def test_any_bytes_have_a_size_or_are_refused(data: Any) -> None:
    try:
        size = ber.message_size(data)
    except ValueError:
        return
    assert size is None or 2 <= size <= ber.MAX_RESPONSE


def test_an_unlikely_length_is_refused() -> None:
    with pytest.raises(ValueError, match="length"):
        ber.message_size(b"\x30\x84\x7f\xff\xff\xff")
    with pytest.raises(ValueError, match="not an LDAP"):
        ber.message_size(b"HTTP/1.1 400")


def test_extended_requests_are_as_the_rfc_writes_them() -> None:
    assert ber.extended_request(ber.STARTTLS) == (b"\x30\x1d\x02\x01\x01\x77\x18\x80\x16" + b"1.3.6.1.4.1.1466.20037")
    assert ber.extended_result(message(0x78, 2, 1)) == 2
    with pytest.raises(ValueError, match="extended"):
        ber.extended_result(message(0x65, 0, 1))
