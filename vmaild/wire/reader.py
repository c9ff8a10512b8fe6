"""What the readers of both protocols share: the store of unread bytes, and an error that stays.

``Framing`` cuts a stream into frames (netstrings, lines); ``Reader`` turns the frames into requests or replies.
The contract of both is that of ``vmaild.wire``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Generic, TypeVar

from vmaild.errors import ProtocolError

Item = TypeVar("Item")


class Framing(ABC):
    """A stream's bytes until they are whole frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def empty(self) -> bool:
        """True when every byte fed so far has been returned as part of a frame."""
        return not self._buffer

    def feed(self, data: bytes) -> None:
        """Store ``data``, the next bytes of the stream."""
        self._buffer += data

    @abstractmethod
    def next(self) -> bytes | None:
        """The next frame's content, None when more bytes are needed, or ProtocolError."""

    def clear(self) -> None:
        """Forget all bytes, after an error."""
        self._buffer.clear()


class Reader(Generic[Item]):
    """The items that come out of ``framing`` by way of ``decode``, which may raise ProtocolError."""

    def __init__(self, framing: Framing, decode: Callable[[bytes], Item]) -> None:
        self._framing = framing
        self._decode = decode
        self._error: str | None = None

    @property
    def empty(self) -> bool:
        """True when no part of an item is waiting for its rest."""
        return self._framing.empty

    def feed(self, data: bytes) -> None:
        """Store ``data``, the next bytes of the stream."""
        if self._error is None:
            self._framing.feed(data)

    def next(self) -> Item | None:
        """The next item, None when more bytes are needed, or ProtocolError."""
        if self._error is not None:
            raise ProtocolError(self._error)
        try:
            frame = self._framing.next()
            return None if frame is None else self._decode(frame)
        except ProtocolError as error:
            self._error = str(error)
            self._framing.clear()
            raise
