"""The byte stream of an LDAP server, cut into messages and read: pure, no socket.

Use: ``feed`` what arrived, then call ``next`` until it returns None. The order of the bytes' pieces makes no
difference, and each byte is read a bounded number of times. Of a message that is not whole yet only the length
is read.

Memory: what was fed and not read yet, and one message of at most ``MAX_MESSAGE`` bytes. An entry that is longer is
not kept: its two ends are, which hold its DN and its Sync State. So a tenant who fills an entry with megabytes
can neither fill memory nor end the feed. Any other message of that length is refused by its length.

Diagnostics: ``BadMessage``; the stream cannot be read any further then, and ``next`` goes on raising.
"""

from __future__ import annotations

from vmaild.directory.sync_ber import BadMessage, header
from vmaild.directory.sync_events import Event, SearchEntry
from vmaild.directory.sync_messages import (
    ENTRY_HEAD,
    MAX_CONTROLS,
    decode,
    decode_long_entry,
    is_entry,
)

MAX_MESSAGE = 262_144
"""Bytes of a message that is read whole. Entries of mail accounts have some 500, a set of entryUUIDs 4,600."""

MAX_LONG_MESSAGE = 268_435_456
"""Bytes of an entry that is read past. slapd takes 4 MiB in one request by default, but an entry can grow."""

HEAD_KEPT = 16_384
TAIL_KEPT = MAX_CONTROLS
"""Bytes kept of both ends of a longer entry: the DN is in the first, the controls are in the last."""


class _LongEntry:
    """An entry on its way past: ``left`` more bytes, and what is kept of it."""

    def __init__(self, start: int, size: int) -> None:
        self.start = start
        self.size = size
        self.left = size
        self.head = bytearray()
        self.tail = bytearray()

    def take(self, data: bytearray) -> SearchEntry | None:
        """Remove its bytes from ``data``; the entry once all have come."""
        taken = data[: self.left]
        del data[: self.left]
        self.left -= len(taken)
        self.head += taken[: HEAD_KEPT - len(self.head)]
        self.tail += taken[-TAIL_KEPT:]
        del self.tail[:-TAIL_KEPT]
        if self.left:
            return None
        return decode_long_entry(bytes(self.head), bytes(self.tail), self.start, self.size)


class MessageReader:
    """Reads one stream from its beginning."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._long: _LongEntry | None = None
        self._error: BadMessage | None = None

    @property
    def waiting(self) -> int:
        """Bytes that were fed and not read yet."""
        return len(self._data)

    def feed(self, data: bytes) -> None:
        """Add what arrived."""
        if self._error is None:
            self._data += data

    def next(self) -> Event | None:
        """The next event, None when more bytes are needed. Raises ``BadMessage``."""
        if self._error is not None:
            raise self._error
        try:
            return self._next()
        except BadMessage as error:
            self._error = error
            self._data.clear()
            raise

    def _next(self) -> Event | None:
        if self._long is None:
            place = header(self._data)
            if place is None:
                return None
            start, size = place
            if size <= MAX_MESSAGE:
                return self._whole(start, size)
            if size > MAX_LONG_MESSAGE:
                raise BadMessage("a message of unlikely length")
            if len(self._data) < ENTRY_HEAD:
                return None
            if not is_entry(bytes(self._data[:ENTRY_HEAD]), start):
                raise BadMessage("a message that is too long")
            self._long = _LongEntry(start, size)
        entry = self._long.take(self._data)
        if entry is not None:
            self._long = None
        return entry

    def _whole(self, start: int, size: int) -> Event | None:
        if len(self._data) < size:
            return None
        with memoryview(self._data) as view:
            message = bytes(view[:size])
        del self._data[:size]
        return decode(message, start)
