"""BER as LDAP uses it (X.690; RFC 4511, 5.1): one element at a time, written and read; pure.

Every reader takes the bytes, where to begin and where the enclosing element ends, and never reads past that end.
Nothing here recurses, so nested bytes cannot exhaust the stack. Bytes that are no LDAP raise ``BadMessage``;
``IndexError`` escapes only for bytes that end too early, and ``sync_messages`` turns it into ``BadMessage``.
"""

from __future__ import annotations


class BadMessage(ValueError):
    """Bytes that are no LDAP message, or none that vmaild reads. The text says what is wrong, without the bytes."""


BOOLEAN = 0x01
INTEGER = 0x02
OCTETS = 0x04
ENUMERATED = 0x0A
SEQUENCE = 0x30
SET = 0x31
CONTROLS = 0xA0
"""``controls [0]`` of an LDAPMessage (RFC 4511, 4.1.1)."""

MAX_LENGTH_BYTES = 4
"""Bytes of a length: four GiB is more than any message may have here, and some servers always write four."""

MAX_INTEGER_BYTES = 5
"""Bytes of an integer: message ids and result codes have 31 bits (RFC 4511, 4.1.1); one more for a leading zero."""


def encode(tag: int, *contents: bytes) -> bytes:
    """One element that holds ``contents`` one after the other."""
    content = b"".join(contents)
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def encode_integer(value: int, tag: int = INTEGER) -> bytes:
    """A number that is not negative."""
    return encode(tag, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def encode_boolean(value: bool) -> bytes:
    """TRUE is 0xFF (RFC 4511, 5.1)."""
    return encode(BOOLEAN, b"\xff" if value else b"\0")


def header(data: bytes | bytearray) -> tuple[int, int] | None:
    """Where the content of the message that ``data`` begins with starts, and where the message ends.

    None when its length has not all come. Reads six bytes at most.
    """
    if data and data[0] != SEQUENCE:
        raise BadMessage("not an LDAP message")
    try:
        start, length = _length(data, 1)
    except IndexError:
        return None
    return start, start + length


def element(data: bytes, at: int, end: int) -> tuple[int, int, int]:
    """The tag of the element at ``at``, where its content starts and where it ends, which is never past ``end``."""
    tag = data[at]
    length = data[at + 1]
    start = at + 2
    if length >= 0x80:
        start, length = _length(data, at + 1)
    stop = start + length
    if stop > end:
        raise BadMessage("an element is longer than what holds it")
    return tag, start, stop


def expect(wanted: int, data: bytes, at: int, end: int) -> tuple[int, int]:
    """Start and end of the content of the element at ``at``, whose tag must be ``wanted``."""
    tag, start, stop = element(data, at, end)
    if tag != wanted:
        raise BadMessage(f"tag {tag:#04x} in the place of {wanted:#04x}")
    return start, stop


def integer(data: bytes, at: int, end: int, tag: int = INTEGER) -> tuple[int, int]:
    """The number at ``at``, and where it ends."""
    start, stop = expect(tag, data, at, end)
    if not 0 < stop - start <= MAX_INTEGER_BYTES:
        raise BadMessage("a number of unlikely size")
    return int.from_bytes(data[start:stop], "big", signed=True), stop


def octets(data: bytes, at: int, end: int, tag: int = OCTETS) -> tuple[bytes, int]:
    """The octet string at ``at``, and where it ends."""
    start, stop = expect(tag, data, at, end)
    return data[start:stop], stop


def boolean(data: bytes, at: int, end: int) -> tuple[bool, int]:
    """The truth value at ``at``, and where it ends."""
    start, stop = expect(BOOLEAN, data, at, end)
    if stop - start != 1:
        raise BadMessage("a truth value of unlikely size")
    return data[start] != 0, stop


def _length(data: bytes | bytearray, at: int) -> tuple[int, int]:
    """Where the content begins, and its length (X.690, 8.1.3)."""
    first = data[at]
    if first < 0x80:
        return at + 1, first
    count = first & 0x7F
    if not 0 < count <= MAX_LENGTH_BYTES:
        raise BadMessage("a length of indefinite or unlikely form")
    end = at + 1 + count
    data[end - 1]  # IndexError when the bytes end before
    return end, int.from_bytes(data[at + 1 : end], "big")
