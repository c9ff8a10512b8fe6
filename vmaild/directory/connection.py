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
import functools
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

from bonsai._bonsai import ldapconnection
from bonsai.errors import LDAPError

from vmaild.directory import ber
from vmaild.directory.bind import Bind
from vmaild.directory.bonsai_patches import Client, Fields
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
    result_failure,
)
from vmaild.errors import DirectoryFailure
from vmaild.lookup import Entry, Scope, Search

SCOPES = {Scope.BASE: 0, Scope.ONE: 1, Scope.SUB: 2}

MESSAGES_PER_WAKEUP = 64
"""Messages read before the loop gets its turn: an answer of thousands of entries must not stall other lookups."""

NO_ATTRIBUTES = "1.1"  # RFC 4511, 4.5.1.8


@dataclass(frozen=True, slots=True)
class Credentials:
    """How to bind: mechanism SIMPLE or EXTERNAL; name and password for a simple bind that is not anonymous."""

    mechanism: str = "SIMPLE"
    name: str | None = None
    password: str | None = None


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
        self._pending: asyncio.Future[list[Fields]] | None = None
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
        """The entries, all of them, read by ``end`` (loop time). Raises ``DirectoryFailure``.

        An empty list says only that this server had nothing: whether it holds the search base is for the caller to
        know.
        """
        attributes, names = _attributes(search.attributes)
        self._client.raw_attributes = attributes
        limit = end - self._loop.time()
        if limit <= 0:
            raise DirectoryFailure("no time left for a search", TIMEOUT)
        if "\0" in search.filter:
            # libldap would cut the filter off there, and search for something else.
            raise DirectoryFailure("NUL in a filter", INVALID)
        try:
            # The server's own limit is a second later, so that it stops too, and never first.
            self._message = ldapconnection.search(
                self, search.base, SCOPES[search.scope], search.filter, attributes, int(limit) + 2.0,
                search.size_limit,
            )  # fmt: skip
        except FOREIGN as error:
            self._end()
            raise failure(error) from None
        self._head_before = self._head = b""
        self._pending = pending = self._loop.create_future()
        self._end_at = end
        self._deadline.set(end)
        try:
            found = await pending
        except asyncio.CancelledError:
            self.kill()
            raise
        finally:
            self._pending = None
        return self._checked(found, names, search)

    def _checked(self, found: list[Fields], names: frozenset[str], search: Search) -> list[Entry]:
        code = ber.search_result(self._head, self._message)
        if code is None:
            # The last message came in two pieces, and the code was in the first.
            code = ber.search_result(self._head_before, self._message)
        if code is None:
            raise DirectoryFailure("the result code was not seen", PARTIAL)
        wrong = result_failure(code)
        if wrong is not None:
            raise wrong
        if code == NO_SUCH_OBJECT and search.base_exists:
            raise DirectoryFailure(f"there is no {search.base!r}", NO_BASE)
        entries = []
        for fields in found:
            if type(fields) is not Fields:
                raise DirectoryFailure("part of the answer is a referral", REFERRAL)
            values = {name.lower(): tuple(raw) for name, raw in fields.items() if raw}
            if not names.issuperset(values):
                values = {name: values[name] for name in names.intersection(values)}
            entries.append(Entry(fields.dn, values))
        return entries

    def _readable(self) -> None:
        pending = self._pending
        if pending is None or pending.done() or self._socket is None:
            self._end()  # of the stream, a reset, or a notice of disconnection
            return
        peek = self._socket.recv
        try:
            for _ in range(MESSAGES_PER_WAKEUP):
                self._head_before, self._head = self._head, peek(ber.HEAD, socket.MSG_PEEK)
                found = self.get_result(self._message)
                if found is not None:
                    pending.set_result(found)
                    return
        except BlockingIOError:
            return  # the rest of the answer is still on its way
        except FOREIGN as error:
            wrong = failure(error)
            pending.set_exception(wrong)
            if wrong.kind in (BROKEN, INVALID):
                self._end()

    def _end(self) -> None:
        self.lost = True
        self.kill()

    def _expire(self, now: float) -> float | None:
        pending = self._pending
        if pending is None or pending.done():
            return None
        if now < self._end_at:
            return self._end_at
        pending.set_exception(DirectoryFailure("no answer in time", TIMEOUT))
        self.kill()
        return None

    def kill(self) -> None:
        """Close at once; whoever waits for an answer gets a ``BROKEN`` failure. Harmless when dead already."""
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
        if self._pending is not None and not self._pending.done():
            self._pending.set_exception(DirectoryFailure("the connection ended", BROKEN))
        self.on_dead(self)


@functools.lru_cache(maxsize=256)
def _attributes(wanted: tuple[str, ...]) -> tuple[list[str], frozenset[str]]:
    """What to ask for, and the lower-case names to keep. Maps ask for the same few sets again and again."""
    return list(wanted) or [NO_ATTRIBUTES], frozenset(name.lower() for name in wanted)
