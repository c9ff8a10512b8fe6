"""Every exception of vmaild's own.

::

    VmaildError
     +-- ConfigError          the configuration cannot be used; carries every problem found
     +-- ProtocolError        a client sent bytes that are no request; its connection is closed
     +-- LookupFailure        a lookup has no authoritative answer: TEMP, never NOTFOUND
          +-- DirectoryFailure   the directory did not answer; a stale answer may serve instead
          |    +-- Overloaded       ... because too many lookups already wait
          +-- DataError          the directory answered with what must not be used (an unsafe value, two
                                 mailboxes for one address); logged, since only an administrator can mend it

Not found is a value (``vmaild.lookup.NOT_FOUND``), not an exception. ``vmaild.maps`` is the one place where an
exception becomes a reply.
"""

from __future__ import annotations

from collections.abc import Sequence


class VmaildError(Exception):
    """The root of all exceptions that vmaild raises itself."""


class ConfigError(VmaildError):
    """The configuration cannot be used. ``problems`` holds one line each, naming file, table and key."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


class ProtocolError(VmaildError):
    """Bytes that are no request of the protocol. The text says what was wrong, without the bytes."""


class LookupFailure(VmaildError):
    """No authoritative answer could be had.

    The text is for vmaild's log. ``reason`` is what Postfix reads: plain words without DN, host or filter.
    """

    reason = "lookup failed"


class DirectoryFailure(LookupFailure):
    """The directory did not answer: no server, a timeout, a refused or partial result.

    ``kind`` is one word for the metrics: timeout, unavailable, broken, limit, referral, refused, ...
    """

    reason = "directory unavailable"

    def __init__(self, message: str, kind: str = "unavailable") -> None:
        super().__init__(message)
        self.kind = kind


class Overloaded(DirectoryFailure):
    """Too many lookups already wait for a connection."""

    reason = "too many lookups are waiting"

    def __init__(self, message: str) -> None:
        super().__init__(message, "overloaded")


class DataError(LookupFailure):
    """The directory's data for this key must not be used. The text names the entries."""

    reason = "directory data is not usable for this key"
