"""socketmap_table(5): netstrings ``NAME SPACE KEY`` one way, ``STATUS SPACE TEXT`` the other.

The request is split at its first space, so a key may hold spaces and may be empty; a name can do neither. A
payload without a space is no request, hence a protocol error. The statuses are OK, NOTFOUND, TEMP, TIMEOUT
and PERM (Postfix's dict_sockmap.c); TIMEOUT is read as TEMP and never written.

Payloads are 8-bit clean. The one byte that is special is NUL: Postfix takes the payload as a C string, so a
value with a NUL in it would arrive cut off and is answered TEMP instead.
"""

from __future__ import annotations

from vmaild.errors import ProtocolError
from vmaild.lookup import Reply, Request, Status, found, temporary
from vmaild.wire import netstring
from vmaild.wire.reader import Reader

MAX_KEY = 10_000
"""Postfix sends queries of at most 10,000 bytes in its newer versions; an address in SMTP has at most 320."""
# The name stands in main.cf, where no one writes a longer one; a file name has at most 255 bytes too.
MAX_NAME = 255
MAX_REQUEST = MAX_NAME + len(b" ") + MAX_KEY
MAX_REPLY = 100_000
"""DICT_SOCKMAP_DEF_MAX_REPLY of dict_sockmap.c: the payload, without the netstring around it."""

MAX_VALUE = MAX_REPLY - len(b"OK ")
# dict_sockmap.c logs up to 200 characters of a reason; nobody reads a longer one.
MAX_REASON = 1000
NOT_FOUND = b"9:NOTFOUND ,"

TOO_LONG = temporary("the value is too long for socketmap")
UNUSABLE = temporary("the value cannot be sent")

_COMMA = ord(",")
_STATUS = {status.value: status for status in Status} | {b"TIMEOUT": Status.TEMPORARY}


class SocketmapRequests(Reader[Request]):
    """The server's reader: netstrings in, requests out."""

    def __init__(self) -> None:
        super().__init__(netstring.Netstrings(MAX_REQUEST), decode_request)


class SocketmapReplies(Reader[Reply]):
    """The client's reader: netstrings in, replies out."""

    def __init__(self) -> None:
        super().__init__(netstring.Netstrings(MAX_REPLY), decode_reply)


def decode_request(payload: bytes) -> Request:
    """The request in a netstring's payload, or ProtocolError."""
    name, space, key = payload.partition(b" ")
    if not space:
        raise ProtocolError("a request has no space after the map's name")
    if len(name) > MAX_NAME:
        raise ProtocolError(f"a map's name is longer than {MAX_NAME} bytes")
    if len(key) > MAX_KEY:
        raise ProtocolError(f"a key is longer than {MAX_KEY} bytes")
    return Request(name, key)


def whole_request(data: bytes) -> Request | None:
    """The request when ``data`` is exactly one, None for anything else: what most segments are, recognised quickly."""
    colon = data.find(b":", 1, netstring.MAX_DIGITS + 1)
    space = data.find(b" ", colon + 1)
    if space < 0 or colon < 0 or data[-1] != _COMMA or data[:colon] != b"%d" % (len(data) - colon - 2):
        return None
    if space - colon > MAX_NAME + 1 or len(data) - space - 2 > MAX_KEY:
        return None
    return Request(data[colon + 1 : space], data[space + 1 : -1])


def encode_request(request: Request) -> bytes:
    """The bytes that ask for ``request``; ValueError when its name cannot be sent."""
    if b" " in request.map_name:
        raise ValueError("a map's name cannot hold a space")
    return netstring.encode(request.map_name + b" " + request.key)


def decode_reply(payload: bytes) -> Reply:
    """The reply in a netstring's payload, or ProtocolError."""
    word, _, text = payload.partition(b" ")
    status = _STATUS.get(word)
    if status is None:
        raise ProtocolError("a reply begins with none of the statuses")
    if status is not Status.FOUND:
        return Reply(status, text)
    if not text:
        raise ProtocolError("a value is empty")
    return found(text)


def encode_reply(reply: Reply) -> bytes:
    """The bytes that answer ``reply``. What Postfix would not take as it is meant is answered TEMP, never cut."""
    status, text, _ = reply
    if status is Status.FOUND:
        if not text or b"\0" in text:
            return encode_reply(UNUSABLE)
        if len(text) <= MAX_VALUE:
            return b"%d:OK %b," % (len(text) + 3, text)
        return encode_reply(TOO_LONG)
    if not text and status is Status.NOT_FOUND:
        return NOT_FOUND
    return netstring.encode(status.value + b" " + text[:MAX_REASON])


def sendable(reply: Reply) -> bool:
    """False for a found value that Postfix would misread: an empty one, or one with a NUL, where C strings end."""
    return reply.status is not Status.FOUND or (reply.text != b"" and b"\0" not in reply.text)
