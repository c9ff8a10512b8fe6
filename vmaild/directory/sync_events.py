"""What a server sends to one who follows its changes (RFC 4511; RFC 4533, 2 and 3), as values.

Each names the message id of the request that it answers. Cookies are the server's bytes, None when it sent none.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import NamedTuple

UUID_SIZE = 16
"""Bytes of an entryUUID (RFC 4530)."""


class State(enum.IntEnum):
    """What the Sync State control says of an entry (RFC 4533, 2.3)."""

    PRESENT = 0
    ADD = 1
    MODIFY = 2
    DELETE = 3


class SyncState(NamedTuple):
    """The Sync State control: ``uuid`` is the entryUUID, 16 bytes; ``cookie`` None when the server sent none."""

    state: State
    uuid: bytes
    cookie: bytes | None


class SearchEntry(NamedTuple):
    """One entry: raw values by lower-case attribute name with its options; ``attributes`` None when too many."""

    message: int
    dn: str
    attributes: Mapping[str, tuple[bytes, ...]] | None
    sync: SyncState | None


class SearchReference(NamedTuple):
    """A continuation reference, of a referral object."""

    message: int
    sync: SyncState | None


class NewCookie(NamedTuple):
    """Sync Info: nothing but a new cookie."""

    message: int
    cookie: bytes


class RefreshPresent(NamedTuple):
    """Sync Info: the present phase is over; whatever was not mentioned in it is gone. ``done``: the refresh too."""

    message: int
    cookie: bytes | None
    done: bool


class RefreshDelete(NamedTuple):
    """Sync Info: the delete phase is over. ``done``: the refresh too."""

    message: int
    cookie: bytes | None
    done: bool


class SyncIdSet(NamedTuple):
    """Sync Info: entries that are still there, or with ``deletes`` that are gone."""

    message: int
    cookie: bytes | None
    deletes: bool
    uuids: tuple[bytes, ...]


class SearchDone(NamedTuple):
    """The end of a search: result code and the server's words; ``cookie`` of the Sync Done control."""

    message: int
    code: int
    text: str
    cookie: bytes | None


class Answer(NamedTuple):
    """The response to a bind or an extended request."""

    message: int
    code: int
    text: str


class Disconnection(NamedTuple):
    """The server is about to close the connection."""

    code: int
    text: str


class Other(NamedTuple):
    """A well-formed message that vmaild has no use for, by its tag."""

    message: int
    tag: int


Event = (
    SearchEntry
    | SearchReference
    | NewCookie
    | RefreshPresent
    | RefreshDelete
    | SyncIdSet
    | SearchDone
    | Answer
    | Disconnection
    | Other
)
