from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmaild.errors import ProtocolError
from vmaild.lookup import NOT_FOUND, Reply, Request, Status, found, permanent, temporary
from vmaild.wire import tcp_table


def read(data: bytes) -> Request | Reply | None:
    reader = tcp_table.TcpTableRequests(b"m")
    reader.feed(data)
    return reader.next()


def test_hex_digits_of_either_case_are_read() -> None:
    assert read(b"get %c3%A9%4a%4A\n") == Request(b"m", b"\xc3\xa9JJ")


@pytest.mark.parametrize(
    "key", [b"%", b"a%", b"%4", b"%4g", b"%g4", b"%%41", b"% 41", b"%+1", b"%0x", "%４１".encode()]
)
def test_a_percent_sign_without_two_hex_digits_is_refused(key: Any) -> None:
    with pytest.raises(ProtocolError):
        read(b"get " + key + b"\n")


@pytest.mark.parametrize(
    "line", [b"", b"GET key", b"gets key", b"delete key", b"200 key", b"get a b", b"getkey", b"\0"]
)
def test_a_line_that_is_no_command_is_refused(line: bytes) -> None:
    with pytest.raises(ProtocolError):
        read(line + b"\n")


@pytest.mark.parametrize("line", [b"get", b"get ", b"get  "])
def test_a_missing_word_is_the_empty_key(line: bytes) -> None:
    assert read(line + b"\n") == Request(b"m", b"")


@pytest.mark.parametrize("line", [b"get  key", b"get\tkey", b"get key ", b"get key\r"])
def test_any_white_space_separates_words(line: bytes) -> None:
    assert read(line + b"\n") == Request(b"m", b"key")


@pytest.mark.parametrize("line", [b"put key value", b"put key", b"put", b"put %zz 1 2 3"])
def test_put_is_rejected_and_the_next_line_is_read(line: bytes) -> None:
    reader = tcp_table.TcpTableRequests(b"m")
    reader.feed(line + b"\nget key\n")
    rejection = reader.next()
    assert isinstance(rejection, Reply)
    assert tcp_table.encode_reply(rejection) == b"500 the%20table%20is%20read-only\n"
    assert reader.next() == Request(b"m", b"key")


def test_the_longest_line_is_read_and_one_byte_more_is_refused() -> None:
    assert read(b"get " + b"%41" * 10_000 + b"\n") == Request(b"m", b"A" * 10_000)
    assert read(b"x" * 30_004) is None
    with pytest.raises(ProtocolError, match="longer than 30005"):
        read(b"x" * 30_005)
    with pytest.raises(ProtocolError, match="longer than 10000"):
        read(b"get " + b"k" * 10_001 + b"\n")


def test_a_reply_at_the_limit_is_sent_and_one_byte_more_is_400() -> None:
    value = b"v" * (4096 - len(b"200 \n"))
    assert tcp_table.encode_reply(found(value)) == b"200 " + value + b"\n"
    too_long = b"400 the%20value%20is%20too%20long%20for%20tcp_table\n"
    assert tcp_table.encode_reply(found(value + b"v")) == too_long
    assert tcp_table.encode_reply(found(b" " * 1364)) == too_long
    assert tcp_table.encode_reply(temporary("r" * 4096)) == too_long


@pytest.mark.parametrize("value", [b"", b"a\0b"])
def test_a_value_that_postfix_would_misread_is_400(value: bytes) -> None:
    assert tcp_table.encode_reply(Reply(Status.FOUND, value)) == b"400 the%20value%20cannot%20be%20sent\n"


def test_no_failure_is_ever_500() -> None:
    assert tcp_table.encode_reply(NOT_FOUND) == b"500 not%20found\n"
    assert tcp_table.encode_reply(temporary("x")) == b"400 x\n"
    assert tcp_table.encode_reply(permanent("no such map")) == b"400 no%20such%20map\n"


def test_a_failure_without_a_reason_says_nothing() -> None:
    assert tcp_table.encode_reply(temporary("")) == b"400 \n"


def test_an_empty_line_after_a_whole_one_is_refused() -> None:
    reader = tcp_table.TcpTableRequests(b"m")
    reader.feed(b"get key\n\nget key\n")
    assert reader.next() == Request(b"m", b"key")
    with pytest.raises(ProtocolError, match="neither get nor put"):
        reader.next()


def test_a_client_refuses_a_reply_over_the_limit_also_in_one_piece() -> None:
    reader = tcp_table.TcpTableReplies()
    reader.feed(b"200 " + b"v" * (4097 - len(b"200 \n")) + b"\n")
    with pytest.raises(ProtocolError, match="longer than 4096"):
        reader.next()


@given(st.sampled_from([Status.NOT_FOUND, Status.TEMPORARY, Status.PERMANENT, Status.FOUND]), st.binary(min_size=1))
def test_the_text_of_every_status_is_quoted(status: Any, text: Any) -> None:
    line = tcp_table.encode_reply(Reply(status, text))
    assert line.endswith(b"\n")
    assert all(0x21 <= byte <= 0x7E for byte in line[4:-1])


@given(st.binary())
def test_quoted_text_comes_back(text: Any) -> None:
    assert tcp_table.unquote(tcp_table.quote(text)) == text


@pytest.mark.parametrize("line", [b"", b"200", b"200 ", b"20 a", b"300 a", b"200\ta", b"2000 a", b"200 %4"])
def test_a_client_refuses_what_is_no_reply(line: bytes) -> None:
    with pytest.raises(ProtocolError):
        tcp_table.decode_reply(line)
