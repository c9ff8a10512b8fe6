"""tcp_table(5): lines ``get KEY`` one way, ``CODE TEXT`` the other.

In keys and texts ``%`` and whatever is not printable ASCII, the space included, is written as ``%XX``, with hex
digits of either case (Postfix's hex_quote.c). The protocol has no map names: a listener serves one map.

Codes of replies: 200 found, 500 not found, 400 any failure. **500 is never a failure**: Postfix takes it for the
authoritative "no such key". On 400 Postfix closes the connection and defers the mail.

A line is one or two words with white space between them. ``get`` without a word after it asks for the empty key.
``put`` is answered 500, "rejected", whatever its parameters are, since the tables are read-only. Any other
command, a third word, a ``%`` without two hex digits and an over-long line are protocol errors.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from vmaild.errors import ProtocolError
from vmaild.lookup import Reply, Request, Status, found, temporary
from vmaild.wire.reader import Framing, Reader
from vmaild.wire.socketmap import MAX_KEY, UNUSABLE, sendable

MAX_LINE = len(b"get ") + 3 * MAX_KEY + len(b"\n")
"""Each byte of the longest key may arrive as %XX."""
MAX_REPLY = 4096
"""DICT_TCP_MAXLEN of dict_tcp.c, newline included: a longer line leaves Postfix out of step."""

TOO_LONG = temporary("the value is too long for tcp_table")
READ_ONLY = Reply(Status.NOT_FOUND, b"the table is read-only")

_GET = b"get "
_NEWLINE = b"\n"
_MAX_WHOLE = len(_GET) + MAX_KEY + len(_NEWLINE)
_CODES = {
    Status.FOUND: b"200",
    Status.NOT_FOUND: b"500",
    Status.TEMPORARY: b"400",
    Status.PERMANENT: b"400",
}
_STATUS = {b"200": Status.FOUND, b"500": Status.NOT_FOUND, b"400": Status.TEMPORARY}
_TO_QUOTE = re.compile(rb"[^!-$&-~]")
_BAD_QUOTE = re.compile(rb"%(?![0-9A-Fa-f]{2})")


class Lines(Framing):
    """Takes lines apart as their bytes arrive; ``limit`` is the longest line with its newline, in bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit
        self._searched = 0

    def next(self) -> bytes | None:
        """The next line without its newline, None when more bytes are needed, or ProtocolError."""
        newline = self._buffer.find(b"\n", self._searched, self._limit)
        if newline < 0:
            if len(self._buffer) >= self._limit:
                raise ProtocolError(f"a line is longer than {self._limit} bytes")
            # A line that arrives byte by byte is searched once, not once for each byte.
            self._searched = len(self._buffer)
            return None
        line = bytes(self._buffer[:newline])
        del self._buffer[: newline + 1]
        self._searched = 0
        return line


class TcpTableRequests(Reader[Request | Reply]):
    """The server's reader: lines in, requests for the map ``map_name`` out.

    ``next()`` returns a ``Reply`` for a command that is no lookup and has its answer already.
    """

    def __init__(self, map_name: bytes) -> None:
        super().__init__(Lines(MAX_LINE), lambda line: decode_request(map_name, line))


class TcpTableReplies(Reader[Reply]):
    """The client's reader: lines in, replies out."""

    def __init__(self) -> None:
        super().__init__(Lines(MAX_REPLY), decode_reply)


def decode_request(map_name: bytes, line: bytes) -> Request | Reply:
    """The request in a line without its newline, or the answer to a ``put``, or ProtocolError."""
    command, *parameters = line.split() or [b""]
    if command == b"put":
        return READ_ONLY
    if command != b"get":
        raise ProtocolError("a command is neither get nor put")
    if len(parameters) > 1:
        raise ProtocolError("a key is not quoted")
    key = unquote(b"".join(parameters))
    if len(key) > MAX_KEY:
        raise ProtocolError(f"a key is longer than {MAX_KEY} bytes")
    return Request(map_name, key)


def whole_request(map_name: bytes, data: bytes) -> Request | None:
    """The request when ``data`` is exactly one for a key without quoting, None for anything else."""
    if not (data.startswith(_GET) and data.endswith(_NEWLINE) and len(data) <= _MAX_WHOLE):
        return None
    key = data[len(_GET) : -1]
    return None if _TO_QUOTE.search(key) else Request(map_name, key)


def encode_request(request: Request) -> bytes:
    """The line that asks for the request's key; the map's name is the listener's."""
    return b"get " + quote(request.key) + b"\n"


def decode_reply(line: bytes) -> Reply:
    """The reply in a line without its newline, or ProtocolError."""
    status = _STATUS.get(line[:3])
    if status is None or line[3:4] != b" ":
        raise ProtocolError("a reply begins with none of the codes")
    text = unquote(line[4:])
    if status is not Status.FOUND:
        return Reply(status, text)
    if not text:
        raise ProtocolError("a value is empty")
    return found(text)


def encode_reply(reply: Reply) -> bytes:
    """The line that answers ``reply``. What Postfix would not take as it is meant is answered 400, never cut."""
    if not sendable(reply):
        return encode_reply(UNUSABLE)
    text = reply.text or (b"not found" if reply.status is Status.NOT_FOUND else b"")
    line = _CODES[reply.status] + b" " + quote(text) + b"\n"
    return line if len(line) <= MAX_REPLY else encode_reply(TOO_LONG)


def quote(text: bytes) -> bytes:
    """``text`` with ``%`` and everything but printable ASCII as ``%XX``."""
    return _TO_QUOTE.sub(lambda match: b"%%%02X" % match[0][0], text)


def unquote(text: bytes) -> bytes:
    """The opposite of ``quote``, or ProtocolError. Bytes that should have been quoted are taken as they are."""
    if _BAD_QUOTE.search(text):
        raise ProtocolError("a % without two hex digits")
    return unquote_to_bytes(text)
