"""The members of one lookup searched for side by side, a few at a time.

A group of thousands would take as many round trips one after the other. ``AT_ONCE`` are in flight at a time, fewer than
a pool has connections by default, so that other lookups find one, and never wait for more than these few searches.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Protocol

from vmaild.directory import Ended
from vmaild.errors import DirectoryFailure
from vmaild.lookup import Search
from vmaild.tables import Members

AT_ONCE = 2
"""Searches for members of one lookup that are in flight at a time."""


class Begin(Protocol):
    """How a search is begun (``vmaild.directory.Pool.begin``)."""

    def __call__(self, search: Search, end: float, done: Callable[[Ended], None], /) -> object: ...


class SideBySide:
    """Searches until the ``members`` are all known, by ``end`` (loop time); then calls ``done`` once.

    ``done`` is called with the servers that answered, or the failure that ended it.
    """

    __slots__ = ("_begin", "_done", "_end", "_filling", "_in_flight", "_members", "_origins", "_over")

    def __init__(
        self, members: Members, begin: Begin, end: float, done: Callable[[DirectoryFailure | set[str]], None]
    ) -> None:
        self._members = members
        self._begin = begin
        self._end = end
        self._done = done
        self._in_flight = 0
        self._origins: set[str] = set()
        self._filling = False
        self._over = False

    def start(self) -> None:
        """Begin. What an earlier lookup asked for and never heard of is asked for again."""
        self._members.ask_again()
        self._fill()

    def _fill(self) -> None:
        # A search may end before it has begun: then it is not the inner call that goes on.
        self._filling = True
        while not self._over and self._in_flight < AT_ONCE and (asked := self._members.ask()) is not None:
            member, search = asked
            self._in_flight += 1
            self._begin(search, self._end, functools.partial(self._ended, member))
        self._filling = False
        if not self._over and self._members.search is None:
            self._over = True
            self._done(self._origins)

    def _ended(self, member: str, ended: Ended) -> None:
        self._in_flight -= 1
        if self._over:
            return
        if isinstance(ended, DirectoryFailure):
            self._over = True
            self._done(ended)
            return
        self._origins.add(ended.origin)
        self._members.receive(member, ended.entries)
        if not self._filling:
            self._fill()
