"""The few bytes of LDAP that vmaild writes and reads itself (RFC 4511; BER, X.690): pure, no socket.

bonsai speaks LDAP for vmaild. These are what it cannot do without blocking or does not tell: StartTLS before
bonsai sees the connection, a question that shows whether a server answers at all, and the result code of a search,
which bonsai swallows when it is 9 (partial), 10 (referral) or 32 (no such object).
"""

from __future__ import annotations

STARTTLS = b"1.3.6.1.4.1.1466.20037"  # RFC 4511, 4.14.1
WHO_AM_I = b"1.3.6.1.4.1.4203.1.11.3"  # RFC 4532
UNBIND = bytes.fromhex("3005020102" + "4200")

_SEQUENCE = 0x30
_INTEGER = 0x02
_OCTET_STRING = 0x04
_EXTENDED_RESPONSE = 0x78
_SEARCH_ENTRY = 0x64
_SEARCH_DONE = 0x65

MAX_RESPONSE = 65_536
"""No extended response is longer; a length beyond it means that the other side does not speak LDAP."""


def extended_request(oid: bytes) -> bytes:
    """An extended request without a value, as message 1. ``oid`` has at most 100 bytes."""
    name = b"\x80" + bytes([len(oid)]) + oid
    operation = b"\x77" + bytes([len(name)]) + name
    body = b"\x02\x01\x01" + operation
    return b"\x30" + bytes([len(body)]) + body


def message_size(data: bytes) -> int | None:
    """The size in bytes of the message that ``data`` begins with, None when more bytes are needed to tell.

    Raises ``ValueError`` when it is no LDAP message or longer than ``MAX_RESPONSE``.
    """
    if data and data[0] != _SEQUENCE:
        raise ValueError("not an LDAP message")
    try:
        start, length = _length(data, 1)
    except IndexError:
        return None
    if start + length > MAX_RESPONSE:
        raise ValueError("an LDAP message of unlikely length")
    return start + length


def extended_result(data: bytes) -> int:
    """The result code of an extended response; ``ValueError`` when ``data`` is anything else."""
    code = _result(data, _EXTENDED_RESPONSE, 1)
    if code is None:
        raise ValueError("not an extended response")
    return code


def search_result(head: bytes, message: int) -> int | None:
    """The result code, when ``head`` begins a SearchResultDone of this message id; None for anything else."""
    return _result(head, _SEARCH_DONE, message)


def entry_name(head: bytes) -> str:
    """The DN of the SearchResultEntry that ``head`` begins, as far as it is there; "an entry" for anything else."""
    try:
        at, _ = _length(head, 1)
        at, length = _length(head, at + 1)
        if head[at + length] != _SEARCH_ENTRY:
            return "an entry"
        at, _ = _length(head, at + length + 1)
        at, length = _length(head, at + 1)
        return head[at : at + length].decode(errors="replace") or "an entry"
    except IndexError:
        return "an entry"


def values(message: bytes, most: int) -> int:
    """How many values and attribute names the SearchResultEntry has that is ``message``; 0 for any other message.

    Counts no further than one past ``most``.
    """
    count = 0
    try:
        at, _ = _length(message, 1)
        at, length = _length(message, at + 1)
        if message[at + length] != _SEARCH_ENTRY:
            return 0
        at, _ = _length(message, at + length + 1)
        at, length = _length(message, at + 1)  # the DN
        at, _ = _length(message, at + length + 1)  # the attributes
        while at < len(message) and count <= most:
            if message[at] == _OCTET_STRING:  # a value, or the name of an attribute
                at, length = _length(message, at + 1)
                at += length
                count += 1
            else:  # the list around a name and its values, or around the values
                at, _ = _length(message, at + 1)
    except IndexError:
        pass
    return count


def _result(data: bytes, tag: int, message: int) -> int | None:
    try:
        at, _ = _length(data, 1)
        if data[0] != _SEQUENCE or data[at] != _INTEGER:
            return None
        at, length = _length(data, at + 1)
        if int.from_bytes(data[at : at + length], "big") != message or data[at + length] != tag:
            return None
        at, _ = _length(data, at + length + 1)
        # resultCode is an ENUMERATED of one byte in every server there is.
        return data[at + 2] if data[at] == 0x0A and data[at + 1] == 1 else None
    except IndexError:
        return None


def _length(data: bytes, at: int) -> tuple[int, int]:
    """Where the content begins, and its length (X.690, 8.1.3)."""
    first = data[at]
    if first < 0x80:
        return at + 1, first
    end = at + 1 + (first & 0x7F)
    data[end - 1]
    return end, int.from_bytes(data[at + 1 : end], "big")
