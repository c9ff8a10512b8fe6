"""From bonsai's exceptions to vmaild's own: done here, once, so that no other module knows them.

Every outcome that is not a full answer becomes a ``DirectoryFailure`` whose ``kind`` is one of ``KINDS``. Two of its
kinds say more: ``BROKEN`` that the connection is gone and another may be tried, ``TIMEOUT`` that the server
may hang.
"""

from __future__ import annotations

from bonsai import errors

from vmaild.errors import DirectoryFailure

BROKEN = "broken"
TIMEOUT = "timeout"
UNAVAILABLE = "unavailable"
OVERLOADED = "overloaded"
LIMIT = "limit"
REFERRAL = "referral"
PARTIAL = "partial"
REFUSED = "refused"
CREDENTIALS = "credentials"
CERTIFICATE = "certificate"
SUFFIX = "suffix"
BUSY = "busy"
INVALID = "invalid"
NO_BASE = "no_base"

NO_SUCH_OBJECT = 32
"""RFC 4511, appendix A.2: the base of a search does not exist."""

KINDS = {
    BROKEN: "the connection ended or spoke nonsense",
    TIMEOUT: "no answer within the deadline",
    UNAVAILABLE: "no server can be reached",
    OVERLOADED: "too many lookups wait already",
    LIMIT: "a size, time or administrative limit of the server",
    REFERRAL: "the server points to another one",
    PARTIAL: "the answer is, or may be, incomplete",
    REFUSED: "the server refused the request",
    CREDENTIALS: "the server refused the bind",
    CERTIFICATE: "the server's certificate is not trusted",
    SUFFIX: "the server does not hold, or not show, the search base",
    BUSY: "the server is busy, shutting down or without its database",
    INVALID: "the request or the answer cannot be expressed",
    NO_BASE: "a map's search base, which must exist, does not",
}
"""Every kind of failure and its meaning."""


def in_words(error: DirectoryFailure) -> str:
    """What failed, for an administrator: the meaning of its kind, and what was seen."""
    meaning = KINDS.get(error.kind)
    return f"{meaning} ({error})" if meaning else str(error)


_BY_CODE = {
    -1: BROKEN,
    -2: BROKEN,
    -4: BROKEN,
    -5: TIMEOUT,
    -7: INVALID,
    -11: BROKEN,
    -101: BROKEN,
    1: BUSY,
    2: BROKEN,
    3: LIMIT,
    4: LIMIT,
    8: CREDENTIALS,
    9: PARTIAL,
    10: REFERRAL,
    11: LIMIT,
    13: REFUSED,
    34: INVALID,
    48: CREDENTIALS,
    49: CREDENTIALS,
    51: BUSY,
    52: BUSY,
    53: REFUSED,
    71: REFERRAL,
    80: BUSY,
}
"""RFC 4511, appendix A.2, and libldap's own negative codes."""


FOREIGN = (errors.LDAPError, OSError, ValueError, TypeError, MemoryError, SystemError)
"""What bonsai's C part raises: its own errors, and Python's for arguments and answers that it cannot convert."""


def failure(error: Exception) -> DirectoryFailure:
    """The ``DirectoryFailure`` for whatever bonsai raised. Call it at once: later errors overwrite the code."""
    if isinstance(error, DirectoryFailure):
        return error
    if isinstance(error, errors.LDAPError):
        code = result_code(error)
        text = error.args[0] if error.args else ""
        return DirectoryFailure(f"LDAP result {code}: {text!r}", _BY_CODE.get(code, REFUSED))
    if isinstance(error, TimeoutError):
        return DirectoryFailure("no answer in time", TIMEOUT)
    if isinstance(error, OSError):
        return DirectoryFailure(f"connection: {error}", BROKEN)
    return DirectoryFailure(f"{type(error).__name__}: {error}", INVALID)


def result_code(error: errors.LDAPError) -> int:
    """The result code that the server sent, or libldap's own negative one. Call it at once."""
    # A class attribute that the next error of this class overwrites.
    return int(error.code)


def result_failure(code: int) -> DirectoryFailure | None:
    """The failure that a search's result code stands for, None for success (0) and no such object (32)."""
    if code in (0, NO_SUCH_OBJECT):
        return None
    return DirectoryFailure(f"LDAP result {code}", _BY_CODE.get(code, REFUSED))
