"""Netstrings: the framing of socketmap.

A netstring is ``LENGTH:PAYLOAD,`` with the length in decimal, and the payload any bytes. The length has ASCII
digits only, no sign, no space and no leading zero, as Postfix's netstring.c and D. J. Bernstein's text have it.
"""

from __future__ import annotations

from vmaild.errors import ProtocolError
from vmaild.wire.reader import Framing

MAX_DIGITS = 6
"""The largest payload of the protocol, a reply of 100,000 bytes, has six digits. Without this limit a client
could send digits for ever."""

_DIGITS = frozenset(b"0123456789")


def encode(payload: bytes) -> bytes:
    """The netstring of ``payload``."""
    return b"%d:%b," % (len(payload), payload)


class Netstrings(Framing):
    """Takes netstrings apart as their bytes arrive.

    ``limit`` is the largest payload in bytes. A length over it is an error as soon as it is read, so that no
    more than ``limit`` bytes of one payload are ever waited for.
    """

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit

    def next(self) -> bytes | None:
        """The next payload, None when more bytes are needed, or ProtocolError."""
        colon = self._buffer.find(b":", 0, MAX_DIGITS + 1)
        digits = bytes(self._buffer[: MAX_DIGITS + 1 if colon < 0 else colon])
        self._check(digits, whole=colon >= 0)
        return None if colon < 0 else self._payload(colon + 1, int(digits))

    def _check(self, digits: bytes, *, whole: bool) -> None:
        if not _DIGITS.issuperset(digits) or (whole and not digits):
            raise ProtocolError("a netstring's length is not a number")
        if len(digits) > MAX_DIGITS:
            raise ProtocolError(f"a netstring's length has more than {MAX_DIGITS} digits")
        if len(digits) > 1 and digits.startswith(b"0"):
            raise ProtocolError("a netstring's length begins with a zero")
        if digits and int(digits) > self._limit:
            raise ProtocolError(f"a netstring is longer than {self._limit} bytes")

    def _payload(self, start: int, length: int) -> bytes | None:
        end = start + length
        if len(self._buffer) <= end:
            return None
        if self._buffer[end] != ord(","):
            raise ProtocolError("a netstring does not end with a comma")
        payload = bytes(self._buffer[start:end])
        del self._buffer[: end + 1]
        return payload
