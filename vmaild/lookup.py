"""The values that flow through vmaild: a request, its reply, and what is asked of the directory.

Nothing here does anything. They are named tuples, since a lookup makes several and a frozen dataclass takes three times
as long to make. A ``Request`` comes out of a codec (``vmaild.wire``), a ``Reply`` goes back into
one. In between, ``vmaild.tables`` turns keys into ``Search`` values and the ``Entry`` values that
``vmaild.directory`` brings back into a result.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import NamedTuple


class Request(NamedTuple):
    """One lookup as it came in: the map's name and the key, both raw bytes as the client sent them.

    The key may hold spaces, any letter case, and bytes that are not UTF-8.
    """

    map_name: bytes
    key: bytes


class Status(enum.Enum):
    """The four kinds of answer. The values are the words of socketmap_table(5)."""

    FOUND = b"OK"
    NOT_FOUND = b"NOTFOUND"
    TEMPORARY = b"TEMP"
    PERMANENT = b"PERM"


class Reply(NamedTuple):
    """One answer. ``text`` is the value when found (never empty), a short reason on failure, else empty.

    A reason ends up in Postfix's log and in an SMTP reply: it holds no DN, no host name and no filter.

    ``nodata`` tells of a "not found" that the key's own entry exists and has no answer for this map (the alias map
    asked for a mailbox), as NODATA does in DNS (RFC 2308, 2.2). Such an answer may be kept as long as a found one,
    for it cannot make mail bounce.
    """

    status: Status
    text: bytes = b""
    nodata: bool = False

    @property
    def authoritative(self) -> bool:
        """True for what the directory said (found, not found); false for failures, which are never cached."""
        return self.status is Status.FOUND or self.status is Status.NOT_FOUND


NOT_FOUND = Reply(Status.NOT_FOUND)
NODATA = Reply(Status.NOT_FOUND, nodata=True)


def found(value: bytes) -> Reply:
    """The reply that carries ``value``, which must not be empty: Postfix takes an empty OK for an error."""
    if not value:
        raise ValueError("an empty value cannot be a reply")
    return Reply(Status.FOUND, value)


def temporary(reason: str) -> Reply:
    """The reply that makes Postfix keep the mail and ask again later."""
    return Reply(Status.TEMPORARY, reason.encode("ascii", "backslashreplace"))


def permanent(reason: str) -> Reply:
    """The reply for a request that can never be answered, such as an unknown map. Postfix defers the mail."""
    return Reply(Status.PERMANENT, reason.encode("ascii", "backslashreplace"))


class Scope(enum.Enum):
    """LDAP search scope (RFC 4511, 4.5.1.2). The values are the words of ldap_table(5)."""

    BASE = "base"
    ONE = "one"
    SUB = "sub"


class Search(NamedTuple):
    """One LDAP search: base DN (RFC 4514), scope, filter (RFC 4515) and the attributes wanted.

    ``size_limit`` is the most entries the answer may have, 0 for no limit; an answer past it is a failure,
    never a part of the entries. ``base_exists`` says that the base must be there, whatever the key: then
    noSuchObject is a failure, where otherwise it means that nothing was found (ldap_table(5), search_base).
    ``ignore_referrals`` leaves out what points to other servers, as Postfix does; else it is a failure, for entries may
    stand there. With ``exists`` one entry is enough: an answer that has more is cut off, and is none. ``directory`` is
    the number of the directory that is asked, where there are several.
    """

    base: str
    scope: Scope
    filter: str
    attributes: tuple[str, ...]
    size_limit: int = 0
    base_exists: bool = False
    ignore_referrals: bool = False
    exists: bool = False
    directory: int = 0


class Entry(NamedTuple):
    """One entry of an answer: its DN as the server wrote it, and raw values by lower-case attribute name.

    Attributes are in the server's order; one with options (RFC 4512, 2.5) is by itself, and its name has them. An
    attribute without values is absent. One whose values are not known is there with an empty tuple: it came back by
    another name than it was asked for by.
    """

    dn: str
    attributes: Mapping[str, tuple[bytes, ...]]

    def values(self, attribute: str) -> tuple[bytes, ...]:
        """The values of ``attribute``, in the server's order; empty when the entry has none."""
        return self.attributes.get(attribute.lower(), ())
