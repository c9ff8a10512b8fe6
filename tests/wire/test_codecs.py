"""One table of (item, bytes) for each reader: whole, byte by byte, several in one piece, with trailing bytes."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmaild.errors import ProtocolError
from vmaild.lookup import NOT_FOUND, Reply, Request, Status, found, permanent, temporary
from vmaild.wire import socketmap, tcp_table
from vmaild.wire.reader import Reader

MAP = b"virtual_alias_maps"

SOCKETMAP_REQUESTS = [
    (Request(b"map", b"user@domain.example"), b"23:map user@domain.example,"),
    (Request(b"map", b""), b"4:map ,"),
    (Request(b"", b"key"), b"4: key,"),
    (Request(b"map", b'"john doe"@domain'), b'21:map "john doe"@domain,'),
    (Request(b"map", b"3:a b,"), b"10:map 3:a b,,"),
    (Request(b"map", b"\x00\n\xff%41"), b"10:map \x00\n\xff%41,"),
    (Request(b"map", b"k" * 10_000), b"10004:map " + b"k" * 10_000 + b","),
]
SOCKETMAP_REPLIES = [
    (found(b"domain.example/user/"), b"23:OK domain.example/user/,"),
    (found(b"a b, c:d"), b"11:OK a b, c:d,"),
    (found(b"v" * 70_000), b"70003:OK " + b"v" * 70_000 + b","),
    (NOT_FOUND, b"9:NOTFOUND ,"),
    (temporary("try later"), b"14:TEMP try later,"),
    (permanent("no such map"), b"16:PERM no such map,"),
]
TCP_REQUESTS = [
    (Request(MAP, b"user@domain.example"), b"get user@domain.example\n"),
    (Request(MAP, b""), b"get \n"),
    (Request(MAP, b'"john doe"@domain'), b'get "john%20doe"@domain\n'),
    (Request(MAP, b"100%\n\x00\xff"), b"get 100%25%0A%00%FF\n"),
    (Request(MAP, b"\n" * 10_000), b"get " + b"%0A" * 10_000 + b"\n"),
]
TCP_REPLIES = [
    (found(b"a@b, c@d"), b"200 a@b,%20c@d\n"),
    (found(b"50%\xc3\xa9\n"), b"200 50%25%C3%A9%0A\n"),
    (Reply(Status.NOT_FOUND, b"not found"), b"500 not%20found\n"),
    (temporary("try later"), b"400 try%20later\n"),
]

CASES = [
    pytest.param(socketmap.SocketmapRequests, socketmap.encode_request, SOCKETMAP_REQUESTS, id="socketmap requests"),
    pytest.param(socketmap.SocketmapReplies, socketmap.encode_reply, SOCKETMAP_REPLIES, id="socketmap replies"),
    pytest.param(lambda: tcp_table.TcpTableRequests(MAP), tcp_table.encode_request, TCP_REQUESTS, id="tcp requests"),
    pytest.param(tcp_table.TcpTableReplies, tcp_table.encode_reply, TCP_REPLIES, id="tcp replies"),
]
READERS: list[Callable[[], Reader[Any]]] = [
    socketmap.SocketmapRequests,
    socketmap.SocketmapReplies,
    lambda: tcp_table.TcpTableRequests(MAP),
    tcp_table.TcpTableReplies,
]


def read_all(reader: Reader[Any]) -> list[Any]:
    return list(iter(reader.next, None))


@pytest.mark.parametrize(("new_reader", "encode", "table"), CASES)
def test_each_item_and_its_bytes_agree_in_both_directions(new_reader: Any, encode: Any, table: Any) -> None:
    for item, data in table:
        assert encode(item) == data
        reader = new_reader()
        reader.feed(data)
        assert read_all(reader) == [item]
        assert reader.empty


@pytest.mark.parametrize(("new_reader", "encode", "table"), CASES)
def test_an_item_arrives_byte_by_byte(new_reader: Any, encode: Any, table: Any) -> None:
    for item, data in table:
        reader = new_reader()
        for at in range(len(data) - 1):
            reader.feed(data[at : at + 1])
            assert reader.next() is None
            assert not reader.empty
        reader.feed(data[-1:])
        assert reader.next() == item


@pytest.mark.parametrize(("new_reader", "encode", "table"), CASES)
@pytest.mark.parametrize("size", [4096, 128, 16])
def test_all_items_in_one_stream_in_pieces(new_reader: Any, encode: Any, table: Any, size: int) -> None:
    stream = b"".join(data for _, data in table)
    reader = new_reader()
    items = []
    for at in range(0, len(stream), size):
        reader.feed(stream[at : at + size])
        items += read_all(reader)
    assert items == [item for item, _ in table]


@pytest.mark.parametrize(("new_reader", "encode", "table"), CASES)
def test_trailing_bytes_wait_for_their_rest(new_reader: Any, encode: Any, table: Any) -> None:
    item, data = table[0]
    reader = new_reader()
    reader.feed(data + data[:-1])
    assert read_all(reader) == [item]
    assert not reader.empty
    reader.feed(data[-1:])
    assert read_all(reader) == [item]


@pytest.mark.parametrize("new_reader", READERS)
@given(data=st.binary(max_size=60), cuts=st.lists(st.integers(0, 60), max_size=5))
def test_any_bytes_give_items_or_a_protocol_error(new_reader: Any, data: Any, cuts: Any) -> None:
    reader = new_reader()
    edges = [0, *sorted(cuts), len(data)]
    try:
        for start, end in itertools.pairwise(edges):
            reader.feed(data[start:end])
            read_all(reader)
    except ProtocolError:
        pass


keys = st.binary(max_size=40) | st.text(max_size=20).map(str.encode)
names = st.binary(max_size=12).filter(lambda name: b" " not in name)


@st.composite
def pieces(draw: Any, encoded: Any) -> Any:
    """The bytes of ``encoded`` cut at any places."""
    stream = b"".join(encoded)
    cuts = draw(st.lists(st.integers(0, len(stream)), max_size=10))
    edges = [0, *sorted(cuts), len(stream)]
    return [stream[start:end] for start, end in itertools.pairwise(edges)]


@given(requests=st.lists(st.builds(Request, names, keys), max_size=8), data=st.data())
def test_any_split_of_socketmap_requests_gives_the_same_requests(requests: Any, data: Any) -> None:
    reader = socketmap.SocketmapRequests()
    came = []
    for piece in data.draw(pieces([socketmap.encode_request(request) for request in requests])):
        reader.feed(piece)
        came += read_all(reader)
    assert came == requests
    assert reader.empty


@given(requests=st.lists(st.builds(Request, st.just(MAP), keys), max_size=8), data=st.data())
def test_any_split_of_tcp_table_requests_gives_the_same_requests(requests: Any, data: Any) -> None:
    reader = tcp_table.TcpTableRequests(MAP)
    came = []
    for piece in data.draw(pieces([tcp_table.encode_request(request) for request in requests])):
        reader.feed(piece)
        came += read_all(reader)
    assert came == requests
    assert reader.empty


any_reply = st.builds(Reply, st.sampled_from(Status), st.binary(max_size=50))


@pytest.mark.parametrize(
    ("encode", "new_reader"),
    [(socketmap.encode_reply, socketmap.SocketmapReplies), (tcp_table.encode_reply, tcp_table.TcpTableReplies)],
)
@given(replies=st.lists(any_reply, max_size=6))
def test_no_reply_text_can_break_the_framing(encode: Any, new_reader: Any, replies: Any) -> None:
    reader = new_reader()
    reader.feed(b"".join(encode(reply) for reply in replies))
    came = read_all(reader)
    assert len(came) == len(replies)
    for sent, received in zip(replies, came, strict=True):
        if sent.status is Status.NOT_FOUND or sent.status is Status.TEMPORARY:
            assert received.status is sent.status
        if received.status is Status.FOUND:
            assert received.text == sent.text


@pytest.mark.parametrize(
    ("new_reader", "good", "bad"),
    [
        (socketmap.SocketmapRequests, b"5:m key,", b"x:m key,"),
        (socketmap.SocketmapRequests, b"5:m key,", b"4:mkey,"),
        (lambda: tcp_table.TcpTableRequests(b"m"), b"get key\n", b"get %4\n"),
        (lambda: tcp_table.TcpTableRequests(b"m"), b"get key\n", b"set key\n"),
    ],
)
def test_the_good_requests_come_before_the_error_and_the_error_stays(new_reader: Any, good: bytes, bad: bytes) -> None:
    reader = new_reader()
    reader.feed(good + good + bad + good)
    assert [reader.next(), reader.next()] == [Request(b"m", b"key")] * 2
    for _ in range(2):
        with pytest.raises(ProtocolError):
            reader.next()
    reader.feed(good)
    with pytest.raises(ProtocolError):
        reader.next()
    assert reader.empty
