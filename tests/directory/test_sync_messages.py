"""slapd's messages and those of the RFCs, read whole, in pieces and damaged."""

from __future__ import annotations

import ast
import itertools
import random
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.directory.sync_bytes import RECORDED, STREAM, UUID, UUID_A, recorded
from vmaild.directory import sync_messages, sync_reader
from vmaild.directory.sync_ber import OCTETS, SEQUENCE, SET, BadMessage, encode, encode_integer
from vmaild.directory.sync_events import (
    Answer,
    Disconnection,
    Event,
    Other,
    RefreshPresent,
    SearchDone,
    SearchEntry,
    State,
    SyncIdSet,
    SyncState,
)
from vmaild.directory.sync_reader import MessageReader

EVENTS = [event for _, event in RECORDED.values()]


def message(number: int, *parts: bytes) -> bytes:
    return encode(SEQUENCE, encode_integer(number), *parts)


def control(oid: bytes, value: bytes) -> bytes:
    return encode(SEQUENCE, encode(OCTETS, oid), encode(OCTETS, value))


def sync_info(value: bytes) -> bytes:
    return message(2, encode(0x79, encode(0x80, sync_messages.SYNC_INFO), encode(0x81, value)))


def result(code: int, text: bytes = b"") -> bytes:
    return encode_integer(code, 0x0A) + encode(OCTETS) + encode(OCTETS, text)


def entry(*attributes: bytes, state: int = 1, uuid: bytes = UUID, dn: bytes = b"cn=c,o=x") -> bytes:
    value = encode(SEQUENCE, encode_integer(state, 0x0A), encode(OCTETS, uuid))
    operation = encode(0x64, encode(OCTETS, dn), encode(SEQUENCE, *attributes))
    return message(2, operation, encode(0xA0, control(sync_messages.SYNC_STATE, value)))


def attribute(name: bytes, *values: bytes) -> bytes:
    return encode(SEQUENCE, encode(OCTETS, name), encode(SET, *(encode(OCTETS, value) for value in values)))


def read(*pieces: bytes) -> list[Event]:
    reader = MessageReader()
    events = []
    for piece in pieces:
        reader.feed(piece)
        while (event := reader.next()) is not None:
            events.append(event)
    return events


@pytest.mark.parametrize("name", RECORDED)
def test_what_slapd_sent_is_read(name: Any) -> None:
    assert read(recorded(name)) == [RECORDED[name][1]]


@pytest.mark.parametrize("name", RECORDED)
def test_a_message_is_read_when_its_last_byte_has_come_and_not_before(name: Any) -> None:
    reader = MessageReader()
    for byte in recorded(name)[:-1]:
        reader.feed(bytes([byte]))
        assert reader.next() is None
    reader.feed(recorded(name)[-1:] + b"\x30")
    assert reader.next() == RECORDED[name][1]
    assert reader.next() is None
    assert reader.waiting == 1


@pytest.mark.parametrize("size", [1, 7, 100, 4096])
def test_the_pieces_of_a_stream_make_no_difference(size: int) -> None:
    assert read(*(STREAM[at : at + size] for at in range(0, len(STREAM), size))) == EVENTS


@given(st.lists(st.integers(0, len(STREAM)), max_size=20))
def test_a_stream_cut_anywhere_is_the_same_stream(cuts: Any) -> None:
    places = [0, *sorted(cuts), len(STREAM)]
    assert read(*(STREAM[a:b] for a, b in itertools.pairwise(places))) == EVENTS


def test_messages_slapd_did_not_send_are_read_as_the_rfc_writes_them() -> None:
    assert read(message(2, encode(0x65, result(4096)))) == [SearchDone(2, 4096, "", None)]
    done = encode(SEQUENCE, encode(OCTETS, b"c"), b"\x01\x01\xff")
    with_cookie = message(2, encode(0x65, result(0)), encode(0xA0, control(sync_messages.SYNC_DONE, done)))
    assert read(with_cookie) == [SearchDone(2, 0, "", b"c")]
    notice = encode(0x78, result(52, b"bye"), encode(0x8A, sync_messages.DISCONNECTION))
    assert read(message(0, notice)) == [Disconnection(52, "bye")]
    assert read(message(3, notice)) == [Answer(3, 52, "bye")]
    assert read(sync_info(encode(0xA2, b"\x01\x01\x00"))) == [RefreshPresent(2, None, False)]
    assert read(sync_info(encode(0xA3, encode(SET)))) == [SyncIdSet(2, None, False, ())]
    assert read(message(7, encode(0x79, encode(0x80, b"1.2.3")))) == [Other(7, 0x79)]
    assert read(message(7, encode(0x6B, b""))) == [Other(7, 0x6B)]


def test_lengths_may_have_more_bytes_than_they_need() -> None:
    value = encode(SEQUENCE, b"\x0a\x84\x00\x00\x00\x01\x01", encode(OCTETS, UUID))
    body = (
        b"\x02\x81\x01\x02"
        + encode(0x64, encode(OCTETS, b"cn=c,o=x"), encode(SEQUENCE, attribute(b"CN", b"x" * 200)))
        + encode(0xA0, control(sync_messages.SYNC_STATE, value))
    )
    whole = b"\x30\x84" + len(body).to_bytes(4, "big") + body
    assert read(whole) == [SearchEntry(2, "cn=c,o=x", {"cn": (b"x" * 200,)}, SyncState(State.ADD, UUID, None))]


def test_an_attribute_that_comes_twice_has_the_values_of_both() -> None:
    (event,) = read(entry(attribute(b"mail", b"a"), attribute(b"Mail", b"b"), attribute(b"empty")))
    assert event.attributes == {"mail": (b"a", b"b"), "empty": ()}


BAD = {
    "another protocol": b"HTTP/1.1 400 Bad Request",
    "an indefinite length": b"\x30\x80\x02\x01\x02\x65\x00\x00\x00",
    "a length of five bytes": b"\x30\x85\x00\x00\x00\x00\x00",
    "a reserved length": b"\x30\xff" + bytes(200),
    "a length that is too long": b"\x30\x84\x7f\xff\xff\xff",
    "no message id": b"\x30\x02\x05\x00",
    "an empty message id": b"\x30\x02\x02\x00",
    "a message id of many bytes": b"\x30\x0c\x02\x08" + bytes(8) + b"\x65\x00",
    "a negative message id": b"\x30\x05\x02\x01\xff\x65\x00",
    "no operation": b"\x30\x03\x02\x01\x02",
    "an operation longer than its message": b"\x30\x05\x02\x01\x02\x65\x05",
    "an empty result": message(2, encode(0x65)),
    "a result of nine bytes": message(2, encode(0x65, encode(0x0A, bytes(9)), encode(OCTETS), encode(OCTETS))),
    "a DN that is no UTF-8": entry(dn=b"cn=\xff"),
    "a name that is no UTF-8": entry(attribute(b"\xff", b"x")),
    "a short entryUUID": entry(uuid=b"short"),
    "an unknown state": entry(state=9),
    "values that are no set": entry(encode(SEQUENCE, encode(OCTETS, b"cn"), encode(OCTETS, b"x"))),
    "a value longer than its set": entry(encode(SEQUENCE, encode(OCTETS, b"cn"), encode(SET, b"\x04\x05x"))),
    "a set without its last length": entry(encode(SEQUENCE, encode(OCTETS, b"cn"), encode(SET, b"\x04"))),
    "an entryUUID of a set that is short": sync_info(encode(0xA3, encode(SET, encode(OCTETS, b"x")))),
    "a truth value of two bytes": sync_info(encode(0xA1, b"\x01\x02\x00\x00")),
    "an empty Sync Info": sync_info(b""),
    "many controls": message(2, encode(0x65, result(0)), encode(0xA0, control(b"1.2", b"") * 1000)),
    "many fields": message(2, encode(0x79, b"\x85\x00" * 1000)),
    "a long entry whose DN is too long": entry(attribute(b"a", b"x" * 300_000), dn=b"o" * 20_000),
    "a long entry whose DN is no UTF-8": entry(attribute(b"a", b"x" * 300_000), dn=b"o=\xff"),
    "a long entry without Sync State's uuid": entry(attribute(b"a", b"x" * 300_000), uuid=b""),
    "a long entry of many controls": message(
        2, encode(0x64, encode(OCTETS), encode(SEQUENCE, attribute(b"a", b"x" * 300_000))), encode(0xA0, bytes(9000))
    ),
    "a long message that is no entry": message(2, encode(0x65, result(0, b"x" * 300_000)))[:100],
}


@pytest.mark.parametrize("name", BAD)
def test_bad_bytes_are_refused_and_stay_refused(name: Any) -> None:
    reader = MessageReader()
    reader.feed(BAD[name])
    for _ in range(2):
        with pytest.raises(BadMessage):
            reader.next()
        reader.feed(STREAM)
    assert reader.waiting == 0


def test_a_long_message_is_refused_by_its_length_before_it_comes() -> None:
    reader = MessageReader()
    reader.feed(b"\x30\x84" + (sync_reader.MAX_LONG_MESSAGE).to_bytes(4, "big"))
    with pytest.raises(BadMessage, match="length"):
        reader.next()


@pytest.mark.parametrize("piece", [1000, 65_536, 10_000_000])
def test_an_entry_that_is_too_long_is_reported_without_its_values_and_not_kept(piece: int) -> None:
    long = entry(attribute(b"mail", *([b"x" * 1000] * 3000)))
    stream = recorded("an entry deleted") + long + recorded("an entry added")
    reader = MessageReader()
    events = []
    most = 0
    for at in range(0, len(stream), piece):
        reader.feed(stream[at : at + piece])
        while (event := reader.next()) is not None:
            events.append(event)
        most = max(most, reader.waiting)
    assert events == [
        RECORDED["an entry deleted"][1],
        SearchEntry(2, "cn=c,o=x", None, SyncState(State.ADD, UUID, None)),
        RECORDED["an entry added"][1],
    ]
    assert most < 2000


def test_a_long_entry_takes_no_memory() -> None:
    long = entry(attribute(b"mail", b"x" * 20_000_000))
    reader = MessageReader()
    tracemalloc.start()
    for at in range(0, len(long), 65_536):
        reader.feed(long[at : at + 65_536])
        event = reader.next()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert isinstance(event, SearchEntry)
    assert peak < 500_000


def test_an_entry_of_too_many_values_is_reported_without_them() -> None:
    room = sync_messages.MAX_VALUES
    for event in read(
        entry(attribute(b"a", *([b""] * room))), entry(attribute(b"a"), attribute(b"b", *([b""] * room)))
    ):
        assert event.sync == SyncState(State.ADD, UUID, None)
    assert [e.attributes and len(e.attributes["a"]) for e in read(entry(attribute(b"a", *([b""] * room))))] == [room]
    assert read(entry(attribute(b"a", *([b""] * (room + 1)))))[0].attributes is None
    assert read(entry(*[attribute(b"a")] * (room + 1)))[0].attributes is None
    assert read(entry(attribute(b"a"), attribute(b"b", *([b""] * room))))[0].attributes is None


@pytest.mark.slow
def test_the_time_to_read_grows_with_the_bytes_and_not_with_their_square() -> None:
    """Byte by byte, and as one attribute in thousands of pieces: measured against a quarter of the same."""

    def seconds(data: bytes, step: int) -> float:
        best = 1e9
        for _ in range(3):
            began = time.process_time()
            assert len(read(*(data[at : at + step] for at in range(0, len(data), step)))) == 1
            best = min(best, time.process_time() - began)
        return best

    for small, large, step in (
        (entry(attribute(b"a", b"x" * 50_000)), entry(attribute(b"a", b"x" * 200_000)), 1),
        (entry(*[attribute(b"a", b"x")] * 2_000), entry(*[attribute(b"a", b"x")] * 8_000), 1_000_000),
    ):
        assert seconds(large, step) < 10 * seconds(small, step) + 0.01


def exhaust(data: bytes) -> None:
    reader = MessageReader()
    reader.feed(data)
    try:
        while reader.next() is not None:
            pass
    except BadMessage:
        pass


@given(st.binary(max_size=300))
@example(b"\x30\x84")
def test_any_bytes_give_events_or_bad_message(data: Any) -> None:
    exhaust(data)


@given(st.sampled_from(sorted(RECORDED)), st.integers(0, 300), st.binary(max_size=6), st.integers(0, 6))
def test_damaged_messages_give_events_or_bad_message(name: Any, at: Any, put: Any, remove: Any) -> None:
    data = recorded(name)
    at %= len(data)
    damaged = data[:at] + put + data[at + remove :]
    exhaust(damaged + STREAM)
    # The same with the outer length mended, so that what is inside is reached.
    exhaust(message(2, damaged[5:]))
    exhaust(encode(SEQUENCE, damaged[2:]))


@pytest.mark.slow
def test_many_random_changes_of_slapds_bytes_give_events_or_bad_message() -> None:
    chance = random.Random(4533)
    for _ in range(20_000):
        data = bytearray(recorded(chance.choice(tuple(RECORDED))))
        for _ in range(chance.choice((1, 1, 2, 8))):
            data[chance.randrange(len(data))] = chance.choice((0, 1, 0x7F, 0x80, 0x84, 0xFF, chance.randrange(256)))
        exhaust(bytes(data) + STREAM[:200])


def test_a_present_set_names_each_entry_once() -> None:
    (event,) = read(recorded("entries that are still there"))
    assert event.uuids[0] == UUID_A


def test_the_core_touches_no_socket_and_no_clock_and_never_waits() -> None:
    pure = ("ber", "requests", "events", "messages", "reader", "cookie", "phases")
    modules = [Path(sync_messages.__file__).with_name(f"sync_{part}.py") for part in pure]
    for module in (*modules, Path(sync_messages.__file__).with_name("uuid_set.py")):
        names = {
            name.partition(".")[0]
            for node in ast.walk(ast.parse(module.read_text()))
            for name in (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module]
                if isinstance(node, ast.ImportFrom)
                else []
            )
        }
        assert names <= {"__future__", "collections", "enum", "re", "typing", "vmaild", "zlib"}, module
