from __future__ import annotations

from typing import Any

import pytest

from vmaild.errors import ProtocolError
from vmaild.wire import netstring


def read(data: bytes, limit: int = 999_999) -> bytes | None:
    reader = netstring.Netstrings(limit)
    reader.feed(data)
    return reader.next()


@pytest.mark.parametrize(
    ("payload", "data"), [(b"", b"0:,"), (b",", b"1:,,"), (b"\xff" * 10, b"10:" + b"\xff" * 10 + b",")]
)
def test_payload_and_netstring_agree(payload: Any, data: Any) -> None:
    assert netstring.encode(payload) == data
    assert read(data) == payload


@pytest.mark.parametrize(
    "data",
    [
        b":,",
        b"00:,",
        b"000..0:",
        b"000000:,",
        b"-1:",
        b"+5:",
        "٥:abcde,".encode(),
        b"01:a,",
        b"+1:a,",
        b"-1:a,",
        b" 1:a,",
        b"1 :a,",
        b"1_0:",
        b"0x1:a,",
        "١:a,".encode(),
        "²:aa,".encode(),
        b"\n",
        b"GET / HTTP/1.1\r\n",
    ],
)
def test_a_length_that_is_no_plain_number_is_refused(data: Any) -> None:
    with pytest.raises(ProtocolError):
        read(data)


@pytest.mark.parametrize("data", [b"1:ab", b"1:a;", b"1:a\n", b"0:a"])
def test_a_wrong_terminator_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError, match="comma"):
        read(data)


def test_six_digits_are_read_and_a_seventh_is_refused_at_once() -> None:
    assert read(b"123456") is None
    with pytest.raises(ProtocolError, match="6 digits"):
        read(b"1234567")


def test_a_payload_at_the_limit_is_read_and_one_byte_more_is_refused_by_its_length() -> None:
    assert read(b"10:" + b"a" * 10 + b",", limit=10) == b"a" * 10
    with pytest.raises(ProtocolError, match="longer than 10"):
        read(b"11", limit=10)
