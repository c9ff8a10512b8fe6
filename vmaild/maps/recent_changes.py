"""What has changed lately, so that a search which began before that is not stored after it; pure.

A change is that of a token (``vmaild.cache.dependents``), with the digest of the entry that it shows.
"""

from __future__ import annotations

from collections.abc import Mapping

NEVER = float("-inf")

UNKNOWN = -1
"""A digest that no entry has."""


MOST = 20_000
"""Tokens remembered twice over. In a bulk load, when that is not enough, every search that began before what is
forgotten counts as overtaken."""


class RecentChanges:
    """Remembers the last ``longest`` seconds at least, twice as much at most."""

    def __init__(self, longest: float) -> None:
        self._longest = longest
        self._now: dict[int, tuple[float, int]] = {}
        self._before: dict[int, tuple[float, int]] = {}
        self._turned_at = NEVER
        self._known_since = NEVER
        self.last_at = NEVER
        """When the last change arrived."""

    def begin(self, now: float) -> None:
        """A change has arrived."""
        early = len(self._now) >= MOST
        if early or now - self._turned_at > self._longest:
            if early and now - self._turned_at <= 2 * self._longest:
                self._known_since = self._turned_at
            self._before, self._now, self._turned_at = self._now, {}, now
        self.last_at = now

    def add(self, token: int, digest: int = UNKNOWN) -> None:
        """The token is part of that change."""
        self._now[token] = self.last_at, digest

    def add_named(self, token: int, digest: int) -> None:
        """The same for an address that several entries can name: then it is not told which of them a search saw."""
        before = self.of(token)
        self.add(token, digest if before is None or before[1] == digest else UNKNOWN)

    def overtake_all(self) -> None:
        """Something changed that is not told: every search that began up to now counts as overtaken."""
        self._known_since = self.last_at

    def of(self, token: int) -> tuple[float, int] | None:
        """When a token changed last, if not long ago, and the digest of the entry."""
        return self._now.get(token) or self._before.get(token)

    def overtook(self, began: float, seen: Mapping[int, int]) -> bool:
        """Whether one of the tokens changed since a search began that saw these digests, to what it has not seen."""
        if began <= self._known_since:
            return True
        digests = set(seen.values()) - {0}
        for token in seen if began <= self.last_at else ():
            changed = self.of(token)
            if changed is not None and began <= changed[0] and changed[1] not in digests:
                return True
        return False
