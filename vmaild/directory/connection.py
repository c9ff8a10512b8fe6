"""One LDAP connection on the event loop: bonsai's C part, read only when the socket has something to read.

bonsai's own asyncio connection watches for writability too, which spins a processor while a search is pending,
and blocks in a half-received message. Here:

- one operation at a time: libldap before 2.7 loses results of concurrent ones (OpenLDAP ITS#10060);
- the descriptor never blocks: neither half a message nor a full send buffer stops the process;
- a descriptor that becomes readable while nothing was asked means the end of the connection;
- a search that timed out or was cancelled ends the connection: a late answer never meets the next search;
- the reader is removed before libldap closes the descriptor: uvloop aborts the process otherwise;
- the result code is read from the socket's buffer before bonsai takes it, because bonsai returns an empty
  list for a referral and for a base that does not exist as it does for no match.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable

import bonsai.ldapentry
from bonsai._bonsai import ldapconnection
from bonsai.errors import LDAPError, SizeLimitError

from vmaild.directory import ber
from vmaild.directory.attributes import attributes
from vmaild.directory.bind import Bind
from vmaild.directory.bonsai_patches import Client, Credentials
from vmaild.directory.deadline_timer import DeadlineTimer
from vmaild.directory.dial import set_keepalive
from vmaild.directory.failures import (
    BROKEN,
    FOREIGN,
    INVALID,
    NO_BASE,
    NO_SUCH_OBJECT,
    PARTIAL,
    REFERRAL,
    TIMEOUT,
    failure,
    result_code,
    result_failure,
)
from vmaild.errors import DirectoryFailure
from vmaild.lookup import Entry, Scope, Search

SCOPES = {Scope.BASE: 0, Scope.ONE: 1, Scope.SUB: 2}

MESSAGES_PER_WAKEUP = 64
"""Messages read before the loop gets its turn: an answer of thousands of entries must not stall other lookups."""

ANY_ENTRY = Entry("", {})
"""What one entry is enough of brought more of: which, is not known."""

_SUCCESS = bytes.fromhex("6507 0a0100 0400 0400")
"""SearchResultDone with result code 0, no matched DN and no message (RFC 4511, 4.1.9)."""

_NOTHING = Search("", Scope.BASE, "", ())

Outcome = list[Entry] | DirectoryFailure
"""How a search ends."""


class Fields(dict[str, list[bytes]]):
    """One entry as bonsai's C part fills it: values by attribute name, and the DN as the server wrote it.

    bonsai's own class parses the DN with a regular expression that refuses ``cn=Team #1``, rewrites ``\\2C`` to
    ``\\,`` even after an escaped backslash, and keeps the connection alive.
    """

    __slots__ = ("dn",)

    def __init__(self, dn: str, connection: object = None) -> None:
        self.dn = dn


# bonsai looks this name up once in a process, when it reads its first entry. A plain assignment would be a type error.
setattr(bonsai.ldapentry, "LDAPEntry", Fields)  # noqa: B010


def _ignore(connection: LdapConnection) -> None:
    """The ``on_dead`` of a connection that no server owns yet."""


class LdapConnection(ldapconnection):  # type: ignore[misc]
    """A bound connection, made by ``LdapConnection.open``.

    ``dead`` turns true once and for ever; ``on_dead`` is called then, and ``lost`` is true when the server ended it.
    ``born`` and ``expires`` are times by ``clock``; the second is for the owner to set and to heed.
    """

    def __init__(self, client: Client, clock: Callable[[], float]) -> None:
        super().__init__(client, True)
        self._client = client
        self._loop = asyncio.get_running_loop()
        self._socket: socket.socket | None = None
        self._fd = -1
        self._message = 0
        self._head = self._head_before = b""
        self._search = _NOTHING
        self._attributes = attributes(())
        self._done: Callable[[Outcome], None] | None = None
        self._end_at = 0.0
        self._deadline = DeadlineTimer(self._expire)
        self.dead = False
        self.on_dead: Callable[[LdapConnection], None] = _ignore
        self.lost = False
        self.born = clock()
        self.expires = float("inf")

    @classmethod
    async def open(
        cls, address: str, credentials: Credentials, clock: Callable[[], float] = time.monotonic
    ) -> LdapConnection:
        """Connect to ``address`` (an ldap:// or ldapi:// URL that accepts at once) and bind.

        The caller sets the time limit by cancelling. Raises ``DirectoryFailure``.
        """
        client = Client(address)
        client.set_credentials(credentials.mechanism, credentials.name, credentials.password)
        try:
            connection = cls(client, clock)
            connection._adopt(await Bind(connection).run())
        except FOREIGN as error:
            raise failure(error) from None
        return connection

    def _adopt(self, fd: int) -> None:
        """Take the connected, bound descriptor: from now on the loop watches it."""
        self._fd = fd
        self._socket = socket.socket(fileno=fd)
        set_keepalive(self._socket)
        self._loop.add_reader(fd, self._readable)

    async def search(self, search: Search, end: float) -> list[Entry]:
        """``begin`` for a coroutine, which raises the ``DirectoryFailure``. Cancelled, it ends the connection."""
        answered: asyncio.Future[Outcome] = self._loop.create_future()

        def done(outcome: Outcome) -> None:
            if not answered.done():
                answered.set_result(outcome)

        self.begin(search, end, done)
        try:
            outcome = await answered
        except asyncio.CancelledError:
            self.kill()
            raise
        if isinstance(outcome, DirectoryFailure):
            raise outcome
        return outcome

    def begin(self, search: Search, end: float, done: Callable[[Outcome], None]) -> None:
        """Send ``search``. ``done`` is called once, with all entries or the failure, by ``end`` (loop time).

        An empty list says only that this server had nothing: whether it holds the search base is for the caller to
        know.
        """
        limit = end - self._loop.time()
        if limit <= 0:
            done(DirectoryFailure("no time left for a search", TIMEOUT))
            return
        if "\0" in search.filter:
            # libldap would cut the filter off there, and search for something else.
            done(DirectoryFailure("NUL in a filter", INVALID))
            return
        self._attributes = wanted = attributes(search.attributes)
        self._client.raw_attributes = wanted.raw
        try:
            # The server's own limit is a second later, so that it stops too, and never first.
            self._message = ldapconnection.search(
                self, search.base, SCOPES[search.scope], search.filter, wanted.asked, int(limit) + 2.0,
                search.size_limit,
            )  # fmt: skip
        except FOREIGN as error:
            self._end()
            done(failure(error))
            return
        self._head_before = self._head = b""
        self._search = search
        self._done = done
        self._end_at = end
        if end < self._deadline.at:
            self._deadline.set(end)

    def _finish(self, outcome: Outcome) -> None:
        """Nothing is pending any more: hand over the outcome."""
        done, self._done = self._done, None
        if done is not None:
            done(outcome)

    def _outcome(self, found: list[Fields]) -> Outcome | None:
        """What the answer to the pending search makes; None when it must be made again (``Attributes.learn``)."""
        code = 0
        if not _succeeded(self._head, self._message):
            head = ber.search_result(self._head, self._message)
            # Or the last message came in two pieces, and the code was in the first.
            code_seen = ber.search_result(self._head_before, self._message) if head is None else head
            if code_seen is None:
                return DirectoryFailure("the result code was not seen", PARTIAL)
            code = code_seen
        if code:
            error = result_failure(code)
            if error is not None:
                return error
            if code == NO_SUCH_OBJECT and self._search.base_exists:
                return DirectoryFailure(f"there is no {self._search.base!r}", NO_BASE)
        return self._entries(found)

    def _entries(self, found: list[Fields]) -> Outcome | None:
        names = self._attributes.names
        entries = []
        for fields in found:
            if type(fields) is not Fields:
                if self._search.ignore_referrals:
                    continue
                return DirectoryFailure("part of the answer is a referral", REFERRAL)
            values = {name.lower(): tuple(raw) for name, raw in fields.items() if raw}
            if not names.issuperset(values):
                # With options, or by another of its names: bonsai has made numbers and truth values of some of these.
                if self._attributes.learn(values):
                    return None
                values = {name: values[name] if name in names else () for name in values}
            entries.append(Entry(fields.dn, values))
        return entries

    def _readable(self) -> None:
        if self._done is None or self._socket is None:
            self._end()  # of the stream, a reset, or a notice of disconnection
            return
        peek = self._socket.recv
        try:
            for _ in range(MESSAGES_PER_WAKEUP):
                self._head_before, self._head = self._head, peek(ber.HEAD, socket.MSG_PEEK)
                found = self.get_result(self._message)
                if found is not None:
                    outcome = self._outcome(found)
                    if outcome is None:
                        self._search_again()
                    else:
                        self._finish(outcome)
                    return
        except BlockingIOError:
            return  # the rest of the answer is still on its way
        except FOREIGN as error:
            if self._search.exists and isinstance(error, SizeLimitError):
                self._finish([ANY_ENTRY])
                return
            wrong = failure(error)
            # A result code is an answer, whatever it says: the connection is in step.
            if wrong.kind == BROKEN or not (isinstance(error, LDAPError) and result_code(error) > 0):
                self.lost = True
                self._close()
            self._finish(wrong)

    def _search_again(self) -> None:
        done, self._done = self._done, None
        assert done is not None
        self.begin(self._search, self._end_at, done)

    def _end(self) -> None:
        self.lost = True
        self.kill()

    def _expire(self, now: float) -> float | None:
        if self._done is None:
            return None
        if now < self._end_at:
            return self._end_at
        self._close()
        self._finish(DirectoryFailure("no answer in time", TIMEOUT))
        return None

    def kill(self) -> None:
        """Close at once; a search that is pending fails as ``BROKEN``. Harmless when dead already."""
        self._close()
        self._finish(DirectoryFailure("the connection ended", BROKEN))

    def _close(self) -> None:
        if self.dead:
            return
        self.dead = True
        self._deadline.close()
        if self._socket is not None:
            self._loop.remove_reader(self._fd)
            self._socket.detach()
            self._socket = None
        # bonsai 1.5.0 first abandons what is pending; on a broken socket that fails, and the next try goes on.
        for _ in range(3):
            try:
                self.close()
                break
            except LDAPError:
                continue
        self.on_dead(self)


def _succeeded(head: bytes, message: int) -> bool:
    """Whether ``head`` is a SearchResultDone of that message with result code 0 and nothing else in it.

    Nearly every search ends so; ``ber`` reads all others.
    """
    return head.endswith(_SUCCESS) and int.from_bytes(head[4:-9], "big") == message and head[2] == 2 and len(head) < 20
