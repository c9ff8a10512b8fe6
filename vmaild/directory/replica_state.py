"""How far a server's data is: ``contextCSN`` of its suffix, compared with what vmaild has already seen.

- A server that should have a ``contextCSN`` and has none is not loaded yet: it is not up. Any server should, once one
  of them has shown it, and from the start with ``require_context``. (A consumer of OpenLDAP gets its ``contextCSN``
  when its first load is complete.)
- A server is *behind* when it lacks what was seen ``LAG`` seconds ago on any server: its answers would go back in
  time. What a server has when it is first read may be as old as it likes, and counts at once. It does not get lookups
  while another is not behind (``failover``). When only such are left, they serve, and are doubted until they have
  caught up or ``replica_grace`` is over.
- A change of server that nobody needs, back to a preferred one or away from a slow one, waits for a moment in which the
  server lacks nothing at all.

The state is read on each new connection, and every ``INTERVAL`` seconds on a free one, or ``SOON`` while it is not the
newest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from vmaild.directory.connection import LdapConnection
from vmaild.directory.failures import BROKEN, SUFFIX, TIMEOUT
from vmaild.directory.sync_context import ROOT_DSE, suffix_of
from vmaild.directory.sync_cookie import Cookie
from vmaild.errors import DirectoryFailure
from vmaild.lookup import Scope, Search

INTERVAL = 0.5
"""Seconds between two readings of one entry, 0.2 ms of slapd's time: how soon it is seen that one has what another
lacks."""

SOON = 0.25
"""Seconds, in place of that, while it lacks what another server is known to have: so it is seen at once when that has
been so for ``LAG``, and when it is over."""

LAG = 1.0
"""Seconds by which a replica may lag: a busy directory's replicas are always some changes apart, and what a replica
gets late is heard of then. Within a second changes are to show. One that lags by about this long does not lose and get
back lookups all the time: it gets them back when it lacks nothing."""

NEVER = float("-inf")


@dataclass(slots=True)
class Seen:
    """What was seen of all servers. ``required``: they should have a ``contextCSN``."""

    required: bool = False
    states: list[tuple[float, Cookie]] = field(default_factory=list)
    """What the servers had, and when: the last one older than ``LAG``, and what came since."""

    def add_old(self, cookie: Cookie) -> None:
        """A server that was not read before has this state."""
        self.states = [(seen_at, before.merged(cookie)) for seen_at, before in self.states] or [(NEVER, cookie)]

    def add(self, cookie: Cookie, now: float) -> None:
        """A server has this state."""
        newest = self.newest.merged(cookie)
        if not self.states or newest != self.newest:
            # Servers are read at different times.
            self.states.append((max(now, self.states[-1][0]) if self.states else now, newest))
        while len(self.states) > 1 and self.states[1][0] <= now - LAG:
            del self.states[0]

    @property
    def newest(self) -> Cookie:
        """What has been seen up to now."""
        return self.states[-1][1] if self.states else Cookie()

    def at(self, time: float) -> Cookie:
        """What had been seen by then."""
        found = Cookie()
        for seen_at, cookie in self.states:
            if seen_at <= time:
                found = cookie
        return found

    def forget(self, cookie: Cookie, now: float) -> None:
        """Take this state for the newest, whatever was seen before."""
        self.states = [(now, cookie)]


class ReplicaState:
    """One server's. ``base`` is the search base."""

    def __init__(self, base: str, seen: Seen, clock: Callable[[], float]) -> None:
        self._base = base
        self._seen = seen
        self._clock = clock
        self._suffix: str | None = None
        self.cookie: Cookie | None = None
        self.read_at = NEVER
        self._is_new = True

    @property
    def due(self) -> bool:
        """Whether it is time to read it again. A server without one is read when connections are made."""
        return self.cookie is not None and self._clock() - self.read_at >= (SOON if self.lacks else INTERVAL)

    @property
    def unloaded(self) -> bool:
        """Whether it has none, and should have."""
        return self.cookie is None and self.read_at != NEVER and self._seen.required

    @property
    def lacks(self) -> bool:
        """Whether it lacks anything that another server is known to have."""
        return self.cookie is not None and self.cookie.is_behind(self._seen.newest)

    @property
    def behind(self) -> bool:
        """Whether the server lacks what had been seen a while before it was last read."""
        return self.cookie is not None and self.cookie.is_behind(self._seen.at(self.read_at - LAG))

    async def check(self, connection: LdapConnection, end: float) -> None:
        """Read it, by ``end`` (loop time). Raises ``DirectoryFailure`` for a server that is not loaded."""
        began = self._clock()
        try:
            if self._suffix is None:
                self._suffix = await self._find_suffix(connection, end)
            self.cookie = await self._read(connection, end) if self._suffix else None
        except DirectoryFailure as failure:
            if failure.kind in (BROKEN, TIMEOUT):
                raise
            self.cookie = None
        except ValueError:
            self.cookie = None  # no server of OpenLDAP's kind
        self.read_at = began
        if self.cookie is not None:
            if self._is_new:
                self._seen.add_old(self.cookie)
            else:
                self._seen.add(self.cookie, self._clock())  # a slow server's state is not as old as the question
            self._is_new = False
            self._seen.required = True
        elif self._seen.required:
            raise unloaded()

    async def _find_suffix(self, connection: LdapConnection, end: float) -> str:
        values = await _values(connection, ROOT_DSE, "namingContexts", end)
        return suffix_of(self._base, (value.decode(errors="replace") for value in values))

    async def _read(self, connection: LdapConnection, end: float) -> Cookie | None:
        values = await _values(connection, self._suffix or "", "contextCSN", end)
        return Cookie.of_context(values) if values else None


def unloaded() -> DirectoryFailure:
    """Why such a server is not up."""
    return DirectoryFailure("it shows no contextCSN: it is not loaded yet, or an access rule hides it", SUFFIX)


async def _values(connection: LdapConnection, name: str, attribute: str, end: float) -> tuple[bytes, ...]:
    entries = await connection.search(Search(name, Scope.BASE, "(objectClass=*)", (attribute,)), end)
    return entries[0].values(attribute) if entries else ()
