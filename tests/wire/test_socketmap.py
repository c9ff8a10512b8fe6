from __future__ import annotations

import pytest

from vmaild.errors import ProtocolError
from vmaild.lookup import Reply, Request, Status, found, permanent, temporary
from vmaild.wire import netstring, socketmap


def read(data: bytes) -> Request | None:
    reader = socketmap.SocketmapRequests()
    reader.feed(data)
    return reader.next()


def test_a_payload_without_a_space_is_refused() -> None:
    with pytest.raises(ProtocolError, match="space"):
        read(b"3:map,")


def test_the_longest_key_and_name_are_read_and_one_byte_more_is_refused() -> None:
    assert read(netstring.encode(b"m" * 255 + b" " + b"k" * 10_000)) == Request(b"m" * 255, b"k" * 10_000)
    with pytest.raises(ProtocolError, match="key"):
        read(netstring.encode(b"m " + b"k" * 10_001))
    with pytest.raises(ProtocolError, match="name"):
        read(netstring.encode(b"m" * 256 + b" k"))
    with pytest.raises(ProtocolError, match="longer than 10256"):
        read(b"10257:")


def test_a_name_with_a_space_cannot_be_asked_for() -> None:
    with pytest.raises(ValueError, match="space"):
        socketmap.encode_request(Request(b"two words", b"key"))


def test_a_reply_at_the_limit_is_sent_and_one_byte_more_is_temporary() -> None:
    value = b"v" * (100_000 - 3)
    assert socketmap.encode_reply(found(value)) == b"100000:OK " + value + b","
    assert socketmap.encode_reply(found(value + b"v")) == b"40:TEMP the value is too long for socketmap,"


def test_a_long_reason_is_cut_and_stays_a_failure() -> None:
    assert socketmap.encode_reply(permanent("r" * 1000)) == b"1005:PERM " + b"r" * 1000 + b","
    for length in (1001, 100_000):
        assert socketmap.encode_reply(permanent("r" * length)) == b"1005:PERM " + b"r" * 1000 + b","
        assert socketmap.encode_reply(temporary("r" * length)) == b"1005:TEMP " + b"r" * 1000 + b","


@pytest.mark.parametrize("value", [b"", b"domain/\0user/", b"\0"])
def test_a_value_that_postfix_would_misread_is_temporary(value: bytes) -> None:
    assert socketmap.encode_reply(Reply(Status.FOUND, value)) == b"29:TEMP the value cannot be sent,"


def test_the_space_after_the_word_is_always_there() -> None:
    assert socketmap.encode_reply(Reply(Status.NOT_FOUND)) == b"9:NOTFOUND ,"
    assert socketmap.encode_reply(Reply(Status.TEMPORARY)) == b"5:TEMP ,"


def test_a_client_reads_timeout_as_temporary() -> None:
    assert socketmap.decode_reply(b"TIMEOUT slow") == temporary("slow")


@pytest.mark.parametrize("payload", [b"", b"MAYBE x", b"ok value", b"OK", b"OK ", b" OK value"])
def test_a_client_refuses_what_is_no_reply(payload: bytes) -> None:
    with pytest.raises(ProtocolError):
        socketmap.decode_reply(payload)


def test_a_client_refuses_a_reply_over_the_limit() -> None:
    reader = socketmap.SocketmapReplies()
    reader.feed(b"100001:")
    with pytest.raises(ProtocolError):
        reader.next()
