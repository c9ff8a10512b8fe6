"""From a server's messages to what changed: the stages of RFC 4533 (3.3 and 3.4) as a state machine; pure.

::

    REFRESH --refreshPresent or refreshDelete with refreshDone--> PERSIST
       |                                                             |
       +----------- SearchResultDone, notice of disconnection ------+--> ENDED

**Refresh**: what happened since the cookie. Entries come that were added or changed; then, without a session log, all
entryUUIDs that are still there (*present phase*), or, with one, those that are gone (*delete phase*). **Persist**:
each change as it happens.

Cookies that come in the refresh are held back until it is over: with one from its middle, a stream that ends there
would be taken up again after deletions that were never reported.

A rename comes as ``Changed`` under the new DN only. When an entry with entries below it is renamed, **nothing comes
for those below**: the owner must drop what it knows below the old DN. An entry that is moved out of the search's
scope comes as ``Deleted``, but slapd sends it only to those who may read its new place: see ``compare``.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from vmaild.directory.sync_ber import BadMessage
from vmaild.directory.sync_cookie import Cookie
from vmaild.directory.sync_events import (
    UUID_SIZE,
    Disconnection,
    Event,
    NewCookie,
    RefreshDelete,
    RefreshPresent,
    SearchDone,
    SearchEntry,
    SearchReference,
    State,
    SyncIdSet,
)
from vmaild.directory.uuid_set import UuidSet

CANNOT_REPORT = {
    3: "the time limit",
    4: "the size limit",
    11: "an administrative limit",
    4096: "the cookie's age",  # e-syncRefreshRequired (RFC 4533, 2.5)
}
"""Results by which a server refuses to report what happened since this cookie, and the reasons.
slapd's ``sizelimit``, 500 by default, holds for the changed entries of a refresh, not for what comes after it."""

UNWILLING = 53
"""slapd's answer to a cookie that is newer than its own state: this replica lags behind another."""

MAX_PRESENT = 4_194_304
"""entryUUIDs that are kept in a present phase: 64 MiB. With more, ``AgeAll`` takes the place of ``Present``."""


class Stage(enum.Enum):
    """Where the stream is."""

    REFRESH = "refresh"
    PERSIST = "persist"
    ENDED = "ended"


class Changed(NamedTuple):
    """An entry was added or written. ``attributes`` None: too many to be read, so they must be taken for unknown.

    A write to an attribute that was not asked for comes too, with the same values as before.
    """

    dn: str
    uuid: bytes
    attributes: Mapping[str, tuple[bytes, ...]] | None
    state: State


class Deleted(NamedTuple):
    """An entry is gone from the search's scope. ``uuid`` identifies it.

    ``dn`` is the new one when it was moved elsewhere, and empty when the server named only the entryUUID.
    """

    uuid: bytes
    dn: str


class Present(NamedTuple):
    """All entries that are there now, after the present phase: whatever else was known is gone."""

    uuids: UuidSet


class AgeAll(NamedTuple):
    """Something happened that was not reported: everything known must be taken for old, but not for gone.

    When ``Ended`` comes next, the cookie is of no more use: begin again with the ``contextCSN`` just read.
    """

    reason: str


class Moved(NamedTuple):
    """All changes up to this state were reported: begin the next stream with ``cookie``."""

    cookie: Cookie


class Persisting(NamedTuple):
    """The refresh is over: from now on each change comes as it happens."""


class Ended(NamedTuple):
    """The server ended the search: LDAP result code and its words. Nothing comes after it.

    ``UNWILLING`` means that slapd's own state is older than the cookie.
    """

    code: int
    text: str


Output = Changed | Deleted | Present | AgeAll | Moved | Persisting | Ended


class SyncPhases:
    """One stream, begun with ``cookie`` (empty: the server sends all entries). ``message`` is the search's id.

    ``take`` raises ``BadMessage`` when the server does not keep to RFC 4533.
    """

    def __init__(self, message: int, cookie: Cookie) -> None:
        self.stage = Stage.REFRESH
        self._message = message
        self._cookie = cookie
        self._reported = cookie
        self._complete = bool(cookie.csns)
        self._present: UuidSet | None = UuidSet()
        self._missed: tuple[Cookie, Cookie] | None = None

    def take(self, event: Event) -> list[Output]:
        """What ``event`` means, in order; nothing for messages of other searches."""
        return list(self._outputs(event))

    def compare(self, context: Cookie) -> list[Output]:
        """``AgeAll`` when ``contextCSN``, read beside the stream, moved and the stream did not report it.

        slapd sends nothing for an entry that was moved to where vmaild may not read. One check is not enough: the
        change may be on its way. The second must find that the stream has not moved since the first.
        """
        missed, self._missed = self._missed, None
        if self.stage is not Stage.PERSIST or not self._cookie.is_behind(context):
            return []
        if missed is None or missed[0] != self._cookie:
            self._missed = (self._cookie, context)
            return []
        self._cookie = self._cookie.merged(missed[1])
        return [AgeAll("a change was not reported: may vmaild read the whole tree?"), *self._heard(None)]

    def _outputs(self, event: Event) -> Iterator[Output]:
        if isinstance(event, Disconnection):
            yield from self._end(event.code, event.text)
        elif event.message != self._message or self.stage is Stage.ENDED:
            return
        elif isinstance(event, SearchEntry):
            yield from self._entry(event)
        elif isinstance(event, SearchReference):
            yield from self._reference(event)
        elif isinstance(event, SyncIdSet):
            yield from self._set(event)
        elif isinstance(event, RefreshPresent):
            yield self._present_over()
            yield from self._phase_over(event.cookie, event.done)
        elif isinstance(event, RefreshDelete):
            yield from self._phase_over(event.cookie, event.done)
        elif isinstance(event, NewCookie):
            yield from self._heard(event.cookie)
        elif isinstance(event, SearchDone):
            yield from self._end(event.code, event.text)

    def _entry(self, entry: SearchEntry) -> Iterator[Output]:
        if entry.sync is None:
            raise BadMessage("an entry without Sync State: the server does not do RFC 4533")
        state, uuid, cookie = entry.sync
        if state is State.DELETE:
            yield Deleted(uuid, entry.dn)
        else:
            self._is_there(uuid)
            if state is not State.PRESENT:
                yield Changed(entry.dn, uuid, entry.attributes, state)
        yield from self._heard(cookie)

    def _reference(self, reference: SearchReference) -> Iterator[Output]:
        # A referral object is no entry for the maps; what was one before is gone.
        if reference.sync is not None:
            if reference.sync.state is not State.PRESENT:
                yield Deleted(reference.sync.uuid, "")
            yield from self._heard(reference.sync.cookie)

    def _set(self, event: SyncIdSet) -> Iterator[Output]:
        for uuid in event.uuids:
            if event.deletes:
                yield Deleted(uuid, "")
            else:
                self._is_there(uuid)
        yield from self._heard(event.cookie)

    def _is_there(self, uuid: bytes) -> None:
        if self.stage is not Stage.REFRESH or self._present is None:
            return
        self._present.add(uuid)
        if len(self._present) > MAX_PRESENT:
            self._present = None

    def _present_over(self) -> Output:
        uuids, self._present = self._present, UuidSet()
        if uuids is None:
            return AgeAll(f"more than {MAX_PRESENT} entries of {UUID_SIZE} bytes")
        self._complete = True
        return Present(uuids)

    def _phase_over(self, cookie: bytes | None, done: bool) -> Iterator[Output]:
        if not done or self.stage is not Stage.REFRESH:
            yield from self._heard(cookie)
            return
        self._present = None
        if not self._complete:
            yield AgeAll("the stream began without a cookie")
        self.stage = Stage.PERSIST
        yield from self._heard(cookie)
        yield Persisting()

    def _heard(self, cookie: bytes | None) -> Iterator[Output]:
        if cookie is not None:
            try:
                self._cookie = self._cookie.merged(Cookie.parse(cookie))
            except ValueError:
                raise BadMessage("a cookie that is not OpenLDAP's") from None
        if self.stage is Stage.PERSIST and self._cookie != self._reported:
            self._reported = self._cookie
            yield Moved(self._cookie)

    def _end(self, code: int, text: str) -> Iterator[Output]:
        self.stage = Stage.ENDED
        self._present = None
        if code in CANNOT_REPORT:
            yield AgeAll(f"{CANNOT_REPORT[code]} keeps the server from reporting what happened")
        yield Ended(code, text)
