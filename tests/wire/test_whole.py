"""What is told quickly to be exactly one request is what the reader makes of it, for any bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vmaild.errors import ProtocolError
from vmaild.lookup import Request
from vmaild.wire import socketmap, tcp_table
from vmaild.wire.reader import Reader

MAP = b"map"

names = st.binary(max_size=8).filter(lambda name: b" " not in name)
keys = st.binary(max_size=30) | st.text(max_size=20).map(str.encode) | st.sampled_from([b"", b" ", b",", b"%", b"\n"])
requests = st.builds(Request, names, keys)


def only_request(reader: Reader[Any], data: bytes) -> Request | None:
    """The request when the reader finds exactly that in ``data``, and nothing is left."""
    reader.feed(data)
    try:
        first = reader.next()
        second = reader.next()
    except ProtocolError:
        return None
    return first if isinstance(first, Request) and second is None and reader.empty else None


@st.composite
def near(draw: Callable[..., Any], encode: Callable[[Request], bytes]) -> bytes:
    """One or more requests, or their bytes with some changed, added or gone."""
    data = bytearray(b"".join(map(encode, draw(st.lists(requests, min_size=1, max_size=2)))))
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(data)))
        gone = draw(st.integers(0, 2))
        data[at : at + gone] = draw(st.sampled_from([b"", b"0", b"1", b" ", b":", b",", b"\n", b"%", b"get ", b"\r"]))
    return bytes(data)


@given(st.binary(max_size=40) | near(socketmap.encode_request))
@example(b"")
@example(b":")
@example(b"4:m k,")
@example(b"03:m k,")
@example(b"+3:m k,")
@example(b"3:m k;")
@example(b"2: ,,")
@example(b"1: ,")
@example(b"2:m ,")
@example(b"3:mk ,")
@example(b"3:map,")
@example(b"3:m k,3:m k,")
@example(b"9:m k,3:m k,")
@example(b" 3:m k,")
@example(b"0:,")
def test_whole_socketmap_request_is_what_the_reader_finds(data: bytes) -> None:
    assert socketmap.whole_request(data) == only_request(socketmap.SocketmapRequests(), data)


@given(st.binary(max_size=40) | near(tcp_table.encode_request))
@example(b"")
@example(b"get")
@example(b"get\n")
@example(b"get \n")
@example(b"get  k\n")
@example(b"get k\nget k\n")
@example(b"get k l\n")
@example(b"get k\r\n")
@example(b"get \x85\n")
@example(b"put k\n")
def test_whole_tcp_table_request_is_what_the_reader_finds_unless_it_is_quoted(data: bytes) -> None:
    expected = only_request(tcp_table.TcpTableRequests(MAP), data)
    whole = tcp_table.whole_request(MAP, data)
    plain = expected is not None and data == b"get " + expected.key + b"\n" == tcp_table.encode_request(expected)
    assert whole == (expected if plain else None)


LIMITS = [0, 1, 9, 10, 99, 100, 999, 1000, 9_994, 9_995, 9_996, 9_999, 10_000, 10_001, 10_255]


@pytest.mark.parametrize("size", LIMITS)
@pytest.mark.parametrize("name", [0, 1, 255, 256, 300])
def test_the_limits_of_socketmap_are_those_of_the_reader(name: int, size: int) -> None:
    data = socketmap.encode_request(Request(b"m" * name, b"k" * size))
    whole = socketmap.whole_request(data)
    assert whole == only_request(socketmap.SocketmapRequests(), data)
    assert (whole is None) == (name > 255 or size > 10_000)


@pytest.mark.parametrize("size", LIMITS)
def test_the_limits_of_tcp_table_are_those_of_the_reader(size: int) -> None:
    data = tcp_table.encode_request(Request(MAP, b"k" * size))
    whole = tcp_table.whole_request(MAP, data)
    assert whole == only_request(tcp_table.TcpTableRequests(MAP), data)
    assert (whole is None) == (size > 10_000)
