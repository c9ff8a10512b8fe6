"""Reads what a server sends to one who follows its changes (RFC 4511; RFC 4533, 2); pure.

``decode`` takes one whole LDAP message and returns one event (``sync_events``). ``decode_long_entry`` takes the two
ends of an entry that is too long to be kept: everything but its values. ``MessageReader`` (``sync_reader``) cuts the
stream into messages.

Diagnostics: ``BadMessage`` for anything that is no message of these; nothing else is ever raised.
"""

from __future__ import annotations

from collections.abc import Mapping

from vmaild.directory.sync_ber import (
    BOOLEAN,
    CONTROLS,
    ENUMERATED,
    OCTETS,
    SEQUENCE,
    SET,
    BadMessage,
    boolean,
    element,
    expect,
    integer,
    octets,
)
from vmaild.directory.sync_events import (
    UUID_SIZE,
    Answer,
    Disconnection,
    Event,
    NewCookie,
    Other,
    RefreshDelete,
    RefreshPresent,
    SearchDone,
    SearchEntry,
    SearchReference,
    State,
    SyncIdSet,
    SyncState,
)

SYNC_STATE = b"1.3.6.1.4.1.4203.1.9.1.2"
SYNC_DONE = b"1.3.6.1.4.1.4203.1.9.1.3"
SYNC_INFO = b"1.3.6.1.4.1.4203.1.9.1.4"
DISCONNECTION = b"1.3.6.1.4.1.1466.20036"  # RFC 4511, 4.4.1

MAX_CONTROLS = 4_096
"""Bytes of all controls of one message. Those of RFC 4533 have some 150, most of them a cookie."""

MAX_FIELDS = 8
"""Fields of a response after its fixed ones; the RFCs define three."""

ENTRY_HEAD = 16
"""Bytes of a message that surely hold its id and show whether it is an entry."""

MAX_VALUES = 10_000
"""Values of one entry that are read, so that one entry cannot hold up the loop: some 3 ms. An entry with more
counts as too long to be kept, and is reported without its values."""


class _TooMany(Exception):
    """An entry has more than ``MAX_VALUES`` values."""


_ENTRY = 0x64
_DONE = 0x65
_REFERENCE = 0x73
_ANSWERS = (0x61, 0x78)  # bind, extended
_EXTENDED = 0x78
_INTERMEDIATE = 0x79
_EXTENDED_NAME = 0x8A


def decode(data: bytes, start: int) -> Event:
    """The event in ``data``, one whole message whose content begins at ``start``."""
    try:
        return _decode(data, start)
    except (IndexError, UnicodeDecodeError):
        raise BadMessage("a message that ends too early, or text that is no UTF-8") from None


def decode_long_entry(head: bytes, tail: bytes, start: int, size: int) -> SearchEntry:
    """A SearchResultEntry of ``size`` bytes in all, of which only both ends were kept; without its attributes.

    ``head`` must reach beyond the DN, and ``tail`` begin before the controls.
    """
    try:
        message, at = integer(head, start, size)
        tag, at, end = element(head, at, size)
        if tag != _ENTRY:
            raise BadMessage("a message that is too long")
        dn, stop = octets(head, at, end)
        if stop > len(head) or size - end > len(tail):
            raise BadMessage("an entry whose DN or controls are too long")
        sync = _sync_state(_controls(tail, len(tail) - (size - end), len(tail)))
        return SearchEntry(message, dn.decode(), None, sync)
    except (IndexError, UnicodeDecodeError):
        raise BadMessage("an entry whose ends are no LDAP") from None


def is_entry(head: bytes, start: int) -> bool:
    """Whether the message whose first ``ENTRY_HEAD`` bytes these are is a SearchResultEntry."""
    _, at = integer(head, start, len(head))
    return head[at] == _ENTRY


def _decode(data: bytes, start: int) -> Event:
    size = len(data)
    message, at = integer(data, start, size)
    if message < 0:
        raise BadMessage("a negative message id")
    tag, at, end = element(data, at, size)
    if tag == _ENTRY:
        return _entry(data, message, at, end)
    if tag == _INTERMEDIATE:
        return _intermediate(data, message, at, end)
    if tag == _DONE:
        code, text, _ = _result(data, at, end)
        return SearchDone(message, code, text, _done_cookie(_controls(data, end, size)))
    if tag in _ANSWERS:
        return _answer(data, message, tag, at, end)
    if tag == _REFERENCE:
        return SearchReference(message, _sync_state(_controls(data, end, size)))
    return Other(message, tag)


def _entry(data: bytes, message: int, at: int, end: int) -> SearchEntry:
    dn, at = octets(data, at, end)
    at, stop = expect(SEQUENCE, data, at, end)
    try:
        found = _attributes(data, at, stop)
    except _TooMany:
        found = None
    return SearchEntry(message, dn.decode(), found, _sync_state(_controls(data, end, len(data))))


def _attributes(data: bytes, at: int, end: int) -> dict[str, tuple[bytes, ...]] | None:
    found: dict[str, list[bytes]] = {}
    room = MAX_VALUES
    while at < end:
        start, at_end = expect(SEQUENCE, data, at, end)
        name, start = octets(data, start, at_end)
        start, stop = expect(SET, data, start, at_end)
        values = _values(data, start, stop, room)
        # An attribute without values takes room too: there is no other bound on their number.
        room -= len(values) or 1
        if room < 0:
            raise _TooMany
        found.setdefault(name.decode().lower(), []).extend(values)
        at = at_end
    return {name: tuple(values) for name, values in found.items()}


def _values(data: bytes, at: int, end: int, most: int) -> list[bytes]:
    values: list[bytes] = []
    while at < end:
        # The usual short form without a call: an entry can have thousands of values.
        if data[at] == OCTETS and data[at + 1] < 0x80:
            start = at + 2
            at = start + data[at + 1]
            if at > end:
                raise BadMessage("a value is longer than what holds it")
        else:
            start, at = expect(OCTETS, data, at, end)
        values.append(data[start:at])
        if len(values) > most:
            raise _TooMany
    return values


def _result(data: bytes, at: int, end: int) -> tuple[int, str, int]:
    """Result code, diagnostic message, and where the fields after them begin (RFC 4511, 4.1.9)."""
    code, at = integer(data, at, end, ENUMERATED)
    _, at = octets(data, at, end)
    text, at = octets(data, at, end)
    return code, text.decode(errors="replace"), at


def _answer(data: bytes, message: int, tag: int, at: int, end: int) -> Answer | Disconnection:
    code, text, at = _result(data, at, end)
    if tag == _EXTENDED and message == 0 and _fields(data, at, end).get(_EXTENDED_NAME) == DISCONNECTION:
        return Disconnection(code, text)
    return Answer(message, code, text)


def _intermediate(data: bytes, message: int, at: int, end: int) -> Event:
    fields = _fields(data, at, end)
    if fields.get(0x80) != SYNC_INFO or 0x81 not in fields:
        return Other(message, _INTERMEDIATE)
    return _sync_info(fields[0x81], message)


def _fields(data: bytes, at: int, end: int) -> dict[int, bytes]:
    """The contents of the elements from ``at`` on, by their tag."""
    fields: dict[int, bytes] = {}
    for _ in range(MAX_FIELDS):
        if at >= end:
            return fields
        tag, start, at = element(data, at, end)
        fields[tag] = data[start:at]
    raise BadMessage("a response of too many fields")


def _sync_info(value: bytes, message: int) -> Event:
    tag, at, end = element(value, 0, len(value))
    if tag == 0x80:
        return NewCookie(message, value[at:end])
    if tag not in (0xA1, 0xA2, 0xA3):
        return Other(message, _INTERMEDIATE)
    cookie, at = _optional_octets(value, at, end)
    flag, at = _optional_boolean(value, at, end, default=tag != 0xA3)
    if tag == 0xA1:
        return RefreshDelete(message, cookie, flag)
    if tag == 0xA2:
        return RefreshPresent(message, cookie, flag)
    at, end = expect(SET, value, at, end)
    uuids = []
    while at < end:
        uuid, at = octets(value, at, end)
        uuids.append(_checked(uuid))
    return SyncIdSet(message, cookie, flag, tuple(uuids))


def _controls(data: bytes, at: int, end: int) -> dict[bytes, bytes]:
    """The controls of a message by their OID; ``at`` is where its operation ended."""
    if end - at > MAX_CONTROLS:
        raise BadMessage("controls of unlikely length")
    found: dict[bytes, bytes] = {}
    while at < end:
        tag, start, at = element(data, at, end)
        while tag == CONTROLS and start < at:
            one, stop = expect(SEQUENCE, data, start, at)
            oid, one = octets(data, one, stop)
            _, one = _optional_boolean(data, one, stop, default=False)
            found[oid] = octets(data, one, stop)[0] if one < stop else b""
            start = stop
    return found


def _sync_state(controls: Mapping[bytes, bytes]) -> SyncState | None:
    value = controls.get(SYNC_STATE)
    if value is None:
        return None
    at, end = expect(SEQUENCE, value, 0, len(value))
    number, at = integer(value, at, end, ENUMERATED)
    uuid, at = octets(value, at, end)
    if number not in State._value2member_map_:
        raise BadMessage("an unknown state of an entry")
    return SyncState(State(number), _checked(uuid), _optional_octets(value, at, end)[0])


def _done_cookie(controls: Mapping[bytes, bytes]) -> bytes | None:
    value = controls.get(SYNC_DONE)
    if value is None:
        return None
    at, end = expect(SEQUENCE, value, 0, len(value))
    return _optional_octets(value, at, end)[0]


def _checked(uuid: bytes) -> bytes:
    if len(uuid) != UUID_SIZE:
        raise BadMessage("an entryUUID that has not 16 bytes")
    return uuid


def _optional_octets(data: bytes, at: int, end: int) -> tuple[bytes | None, int]:
    return octets(data, at, end) if at < end and data[at] == OCTETS else (None, at)


def _optional_boolean(data: bytes, at: int, end: int, *, default: bool) -> tuple[bool, int]:
    return boolean(data, at, end) if at < end and data[at] == BOOLEAN else (default, at)
