"""The numbers that the keys of records begin with, one for each group of maps.

All records are in one cache. When another configuration is taken over, a group whose meaning did not change keeps its
number, and so its records. No number is given to a second meaning, so that a record is never taken for one of another
group.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

from vmaild.tables import Group


class Numbers:
    """The numbers of ``groups``. ``before``: those in use until now; they stay where ``keep`` allows it."""

    def __init__(self, groups: Iterable[Group], before: Numbers | None = None, *, keep: bool = True) -> None:
        self._next: Iterator[int] = itertools.count() if before is None else before._next
        known: dict[object, int] = before._of if before is not None and keep else {}
        self._of: dict[object, int] = {}
        for group in groups:
            meaning = group.meaning
            self._of[meaning] = known[meaning] if meaning in known else next(self._next)

    def prefix(self, group: Group) -> bytes:
        """What the keys of the group's records begin with."""
        return b"%d " % self._of[group.meaning]

    def dropped(self, before: Numbers) -> tuple[bytes, ...]:
        """The prefixes of ``before`` that are not in use any more."""
        return tuple(b"%d " % number for number in set(before._of.values()) - set(self._of.values()))
