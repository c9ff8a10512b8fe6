"""The keys of one token that many records depend on: the entry of a catch-all, the domain of many "not found".

There may be half a million. So no step takes longer for that: they stand in parts, each small, and keys whose record
has gone are looked for in one part at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator

FIRST_PART = 1024
"""Keys up to which there is one part."""

PARTS = 256
"""A power of two. With a million keys each has 4,000, which are gone through in a millisecond."""


class Crowd:
    """A set of keys, with the ``digest`` of what all of them saw: None when they saw different states."""

    __slots__ = ("_count", "_parts", "digest")

    def __init__(self, keys: Iterable[bytes], digest: int | None) -> None:
        self._parts: list[dict[bytes, None]] = [dict.fromkeys(keys)]
        self._count = len(self._parts[0])
        self.digest = digest

    def __len__(self) -> int:
        """How many keys there are, those of records that have gone included."""
        return self._count

    def __contains__(self, key: object) -> bool:
        return key in self._parts[hash(key) & len(self._parts) - 1]

    def __iter__(self) -> Iterator[bytes]:
        """Keys that are added during that may or may not come."""
        for part in tuple(self._parts):
            yield from list(part)

    def add(self, key: bytes, alive: Callable[[bytes], object]) -> None:
        """Add a key. Each time that a part has doubled, those that are not ``alive`` leave it."""
        number = hash(key) & len(self._parts) - 1
        part = self._parts[number]
        if key in part:
            return
        part[key] = None
        self._count += 1
        size = len(part)
        if size & (size - 1) == 0:
            living = {one: None for one in part if alive(one)}
            self._count += len(living) - size
            self._parts[number] = living
            if len(self._parts) == 1 and len(living) >= FIRST_PART:
                self._divide()

    def _divide(self) -> None:
        parts: list[dict[bytes, None]] = [{} for _ in range(PARTS)]
        for key in self._parts[0]:
            parts[hash(key) & PARTS - 1][key] = None
        self._parts = parts


class Others:
    """The keys of a crowd that are not among ``but``. ``len`` counts all."""  # so as not to go through them

    __slots__ = ("_but", "_crowd")

    def __init__(self, crowd: Crowd, but: Container[bytes]) -> None:
        self._crowd = crowd
        self._but = but

    def __len__(self) -> int:
        return len(self._crowd)

    def __contains__(self, key: object) -> bool:
        return key in self._crowd and key not in self._but

    def __iter__(self) -> Iterator[bytes]:
        return (key for key in self._crowd if key not in self._but)
