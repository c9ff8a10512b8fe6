"""One LDAP connection on the event loop: bonsai's C part, read only when the socket has something to read.

bonsai's own asyncio connection watches for writability too, which spins a processor while a search is pending,
and blocks in a half-received message. Here:

- one operation at a time: libldap before 2.7 loses results of concurrent ones (OpenLDAP ITS#10060);
- the descriptor never blocks: neither half a message nor a full send buffer stops the process;
- a descriptor that becomes readable while nothing was asked means the end of the connection;
- each message is examined in the socket's buffer before libldap may take it: whose it is, how long, and its result
  code, because bonsai returns an empty list for a referral and for a base that does not exist as it does for no match;
- libldap gets whole messages only, and only those of the search that is pending. A search that timed out is abandoned;
  what still comes of it is thrown away unread, so that a late answer never meets another search;
- an answer that is longer, or has more values, than any reply could need is refused before libldap parses it;
- the reader is removed before libldap closes the descriptor: uvloop aborts the process otherwise.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
import time
from collections.abc import Callable
from typing import TypeVar

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
from vmaild.directory.large_message import Gathered, Skipped, available, feed
from vmaild.directory.settings import MAX_ANSWER, MAX_VALUES
from vmaild.errors import DataError, DirectoryFailure
from vmaild.lookup import Entry, Scope, Search

SCOPES = {Scope.BASE: 0, Scope.ONE: 1, Scope.SUB: 2}

MESSAGES_PER_WAKEUP = 64
"""Messages read before the loop gets its turn: an answer of thousands of entries must not stall other lookups."""

ANY_ENTRY = Entry("", {})
"""What one entry is enough of brought more of: which, is not known."""
WINDOW = 2048
"""Bytes examined in the socket's buffer at a time: an entry of usual size and the result code behind it."""

MAX_LATE = 64 * 1024 * 1024
"""Bytes that may come late, of abandoned searches, before the connection is given up: slapd ends an abandoned search
after the entry that it is sending."""


_SUCCESS = bytes.fromhex("6507 0a0100 0400 0400")
"""SearchResultDone with result code 0, no matched DN and no message (RFC 4511, 4.1.9)."""

_NOTHING = Search("", Scope.BASE, "", ())

T = TypeVar("T")
Outcome = list[Entry] | DataError | DirectoryFailure
"""How a search ends: ``DataError`` is an answer too large to be used."""


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


def settle(waiting: asyncio.Future[T], result: T) -> None:
    """Give a coroutine what it waits for, unless it was cancelled."""
    if not waiting.done():
        waiting.set_result(result)


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
        self._search = _NOTHING
        self._attributes = attributes(())
        self._received = self._values = self._late = 0
        self._abandoned = self._silent = False
        self._unfinished: Gathered | Skipped | None = None
        """A message of which a part came, taken from the socket here and not by libldap."""
        self.max_answer = MAX_ANSWER
        self.max_values = MAX_VALUES
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
            try:
                connection._adopt(await Bind(connection).run())
            except BaseException:
                connection.dead = True
                connection._deadline.close()
                raise
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
        """``begin`` for a coroutine, which raises what is no list. Cancelled, it ends the connection."""
        answered: asyncio.Future[Outcome] = self._loop.create_future()
        self.begin(search, end, functools.partial(settle, answered))
        try:
            outcome = await answered
        except asyncio.CancelledError:
            self.kill()
            raise
        try:
            if isinstance(outcome, list):
                return outcome
            raise outcome
        finally:
            del outcome, answered  # the traceback of what is raised holds this frame

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
        self._received = self._values = 0
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

    def _outcome(self, found: list[Fields], done: bytes) -> Outcome | None:
        """What the answer to the pending search makes, whose last message is ``done``; None when it must be made again
        (``Attributes.learn``)."""
        if not _succeeded(done, self._message):
            code = ber.search_result(done, self._message)
            if code is None:
                return DirectoryFailure("the result code was not seen", PARTIAL)
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
        if self._done is None and not self._abandoned:
            self._end()  # of the stream, a reset, or a notice of disconnection
            return
        self._silent = False
        try:
            for _ in range(MESSAGES_PER_WAKEUP):
                if self._socket is None or not self._take_message(self._socket):
                    return
        except BlockingIOError:
            return  # the rest of the answer is still on its way
        except FOREIGN as error:
            self._wrong(error)

    def _wrong(self, error: Exception) -> None:
        if self._search.exists and isinstance(error, SizeLimitError):
            self._finish([ANY_ENTRY])
            return
        wrong = failure(error)
        # A result code is an answer, whatever it says: the connection is in step.
        if wrong.kind == BROKEN or not (isinstance(error, LDAPError) and result_code(error) > 0):
            self.lost = True
            self._close()
        self._finish(wrong)

    def _take_message(self, sock: socket.socket) -> bool:
        """Take the next message from the socket, or a part of it. False when there is no more to do for now."""
        if self._unfinished is not None:
            return self._go_on(sock, self._unfinished)
        window = sock.recv(WINDOW, socket.MSG_PEEK)
        size, message = _frame(window)
        if message != self._message or self._done is None:
            return self._not_of_the_search(sock, window, size, message)
        self._received += size
        if self._received > WINDOW or size > len(window):
            if self._received > self.max_answer:
                return self._refuse(window, size)
            if size > len(window) and available(sock) < size:
                self._unfinished = Gathered(size)
                return True
            window = window if size <= len(window) else sock.recv(size, socket.MSG_PEEK)
            if self._too_many(window, size):
                return self._refuse(window, size)
        return self._parsed(self.get_result(self._message), window)

    def _parsed(self, found: list[Fields] | None, message: bytes) -> bool:
        if found is None:
            return True
        self._late = 0
        outcome = self._outcome(found, message)
        if outcome is None:
            self._search_again()
        else:
            self._finish(outcome)
        return False

    # --- what is seldom: messages in pieces, large ones, late ones ----------------------------------------------------

    def _not_of_the_search(self, sock: socket.socket, window: bytes, size: int, message: int) -> bool:
        """A message that cannot be told yet, or one of a search that was abandoned; else the end of the connection."""
        if not window or message == 0 or message > self._message or (message > 0 and not self._abandoned):
            self._end()
            return False
        self._unfinished = Skipped(size) if message > 0 else Gathered(size)
        return True

    def _go_on(self, sock: socket.socket, unfinished: Gathered | Skipped) -> bool:
        """Take more of a message in pieces."""
        taken = unfinished.take(sock)
        if taken == 0:
            self._end()
            return False
        if isinstance(unfinished, Skipped):
            self._late += taken
            if self._late > MAX_LATE:
                self.kill()
                return False
        if not unfinished.complete:
            return self._head_is_there(unfinished)
        self._unfinished = None
        if isinstance(unfinished, Skipped):
            return True
        return self._gathered(bytes(unfinished.data))

    def _head_is_there(self, unfinished: Gathered | Skipped) -> bool:
        """A message whose first bytes came in pieces: now it may be told how long it is, and whose."""
        if unfinished.size or not isinstance(unfinished, Gathered):
            return True
        head = bytes(unfinished.data)
        size, message = _frame(head)
        if message < 0:
            return True
        if message == 0 or message > self._message or (message < self._message and not self._abandoned):
            self._end()
            return False
        rest = size - len(head)
        if message != self._message or self._done is None:
            self._unfinished = Skipped(rest)
            return True
        self._received += size
        if self._received > self.max_answer:
            return self._refuse(head, rest)
        unfinished.size = size
        return True

    def _too_many(self, data: bytes, size: int) -> bool:
        """Count the values of a message: whether the answer has too many of them."""
        # The tag of each value is an octet 4. Text has no others, so that there is no need to count twice.
        count = data.count(4, 0, size)
        if self._values + count > self.max_values:
            count = ber.values(data[:size], self.max_values)
        self._values += count
        return self._values > self.max_values

    def _gathered(self, message: bytes) -> bool:
        """A message of the pending search that came in pieces is whole: libldap gets it."""
        if self._too_many(message, len(message)):
            return self._refuse(message, 0)
        return self._parsed(feed(self._fd, message, functools.partial(self.get_result, self._message)), message)

    def _refuse(self, head: bytes, rest: int) -> bool:
        """The answer is too large: no more of it is parsed. ``rest`` bytes of the message are still to come."""
        bounds = f"more than {self.max_answer} bytes or {self.max_values} values"
        why = DataError(f"{ber.entry_name(head)}: the answer has {bounds}")
        self._unfinished = Skipped(rest) if rest else None
        self._abandon()
        self._finish(why)
        return False

    def _abandon(self) -> None:
        """What is pending is not wanted any more; what comes of it nevertheless is thrown away."""
        unfinished = self._unfinished
        if isinstance(unfinished, Gathered) and unfinished.size:
            self._unfinished = Skipped(unfinished.size - len(unfinished.data))
        self._abandoned = True
        try:
            self.abandon(self._message)
        except FOREIGN:
            self._close()
            return
        if self._received:
            # libldap only dropped what it had of the answer, and bonsai forgot the search. Now the server is told too.
            with contextlib.suppress(*FOREIGN):
                self.abandon(self._message)

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
        if self._silent:
            self._close()  # it did not say a word since the last one timed out
        else:
            self._silent = True
            self._abandon()
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


def _frame(data: bytes) -> tuple[int, int]:
    """Size and id of the message that ``data`` begins with; (0, -1) when more bytes are needed to tell.

    Raises ``ValueError`` when it is no LDAP message.
    """
    try:
        length = data[1]
        at = 2
        if length >= 0x80:
            at += length & 0x7F
            length = int.from_bytes(data[2:at], "big")
        end = at + 2 + data[at + 1]
        if data[0] != 0x30 or data[at] != 0x02 or end > at + 6:
            raise ValueError("not an LDAP message")
        data[end - 1]
        return at + length, int.from_bytes(data[at + 2 : end], "big")
    except IndexError:
        return 0, -1
