"""Which records were made from what: from an entry, or from what an address, a domain or a DN had or had not.

What a record depends on is named by a *token*, a number: that of an entryUUID (``of_entry``), of an address that was
looked for on the way (``of_address``), of the domain of a "not found" (``of_domain``), of a DN that named nothing
(``of_name``). When one of them changes, ``take`` says which keys are concerned.

There may be a million records, and most depend on one entry. So this is a hash table in three arrays: 20 bytes for each
place, 30 to 60 for each record, where a dict of numbers takes 100. A token that many records share (the entry of a
catch-all) has a list instead. Keys are never removed when their record goes: a key without a record is dropped when
the table grows, and costs nothing but its place until then. What one token has is a superset, never less.

Beside an entry's token stands the ``digest`` of what was seen of it: a change after which it is the same is none.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping
from zlib import crc32

FIRST_SIZE = 1024
"""Places at the beginning, a power of two."""

CROWD = 8
"""Keys of one token in the table; more have a list, so that those of others are not far from their place."""

_ENTRY = 1 << 63
"""Set in the tokens of entries."""
_OTHERS = _ENTRY - 1
_NOBODY: frozenset[bytes] = frozenset()


def of_entry(uuid: bytes) -> int:
    """The token of an entryUUID, 16 bytes. Its low half is the CRC, by which ``UuidSet`` sorts."""
    return _ENTRY | (int.from_bytes(uuid[4:8]) & 0x7FFFFFFF) << 32 | crc32(uuid)


def entry_parts(token: int) -> tuple[int, bytes]:
    """The CRC-32 of the entryUUID that the token is of, and its bytes from the sixth to the eighth."""
    return token & 0xFFFFFFFF, (token >> 32 & 0xFFFFFF).to_bytes(3)


def of_address(text: str) -> int:
    """The token of an address, or of ``@domain``, as it is looked for: what becomes of it concerns the record."""
    return hash(("address", text)) & _OTHERS | 1


def of_domain(domain: str) -> int:
    """The token of all that was not found in ``domain``."""
    return hash(("domain", domain)) & _OTHERS | 1


def of_name(dn: object) -> int:
    """The token of a DN, as ``tables.dn`` reads it, at which there was no entry."""
    return hash(("name", dn)) & _OTHERS | 1


def digest_of(dn: str, attributes: Mapping[str, tuple[bytes, ...]]) -> int:
    """What was seen of an entry as a number of 32 bits."""
    return hash((dn, frozenset(attributes.items()))) & 0xFFFFFFFF


class Dependents:
    """``alive`` tells whether there is a record for a key."""

    def __init__(self, alive: Callable[[bytes], object]) -> None:
        self._alive = alive
        self._make(FIRST_SIZE)

    def __len__(self) -> int:
        """How many dependences are noted, those of records that have gone included."""
        return self._used + sum(map(len, self._crowds.values()))

    def clear(self) -> None:
        """Forget all."""
        self._make(FIRST_SIZE)

    def add(self, token: int, key: bytes, digest: int = 0) -> None:
        """The record of ``key`` depends on ``token``, which has that digest now."""
        if token in self._crowds:
            self._add_to_crowd(token, key, digest)
            return
        tokens, keys, mask = self._tokens, self._keys, self._mask
        place = token & mask
        same, vacant = 0, -1
        while (found := tokens[place]) != 0:
            if found == token:
                there = keys[place]
                if there == key:
                    self._digests[place] = digest
                    return
                if there is None:
                    vacant = place
                same += 1
            place = (place + 1) & mask
        if vacant >= 0:
            keys[vacant], self._digests[vacant] = key, digest
        elif same >= CROWD:
            self._make_crowd(token)
            self._add_to_crowd(token, key, digest)
        else:
            tokens[place], keys[place], self._digests[place] = token, key, digest
            self._used += 1
            if self._used * 3 > len(keys) * 2:
                self._grow()

    def has(self, token: int) -> bool:
        """Whether any key depends on ``token``."""
        return token in self._crowds or any(self._keys[place] is not None for place in self._places(token))

    def seen(self, token: int, digest: int) -> frozenset[bytes]:
        """The keys that depend on ``token`` and have seen this ``digest``."""
        crowd = self._crowds.get(token)
        if crowd is not None:
            return frozenset(crowd) if self._crowd_digests.get(token) == digest else _NOBODY
        found = [self._keys[place] for place in self._places(token) if self._digests[place] == digest]
        return frozenset(key for key in found if key is not None) if found else _NOBODY

    def take(self, token: int, digest: int = -1, but: frozenset[bytes] = frozenset()) -> list[bytes]:
        """The keys that depend on ``token``, and forget that they do.

        Not those that have seen this ``digest``, nor those of ``but``.
        """
        if token in self._crowds:
            return self._take_crowd(token, digest, but)
        taken: list[bytes] = []
        for place in self._places(token):
            key = self._keys[place]
            if key is not None and self._digests[place] != digest and key not in but:
                taken.append(key)
                self._keys[place] = None
        return taken

    def _take_crowd(self, token: int, digest: int, but: frozenset[bytes]) -> list[bytes]:
        if self._crowd_digests.get(token) == digest:
            return []
        crowd = self._crowds.pop(token)
        seen = self._crowd_digests.pop(token, None)
        kept = {key: None for key in crowd if key in but} if but else {}
        if kept:
            self._crowds[token] = kept
            if seen is not None:
                self._crowd_digests[token] = seen
        return [key for key in crowd if key not in kept]

    def _places(self, token: int) -> list[int]:
        """Where the token stands in the table."""
        places = []
        tokens, mask = self._tokens, self._mask
        place = token & mask
        while (found := tokens[place]) != 0:
            if found == token:
                places.append(place)
            place = (place + 1) & mask
        return places

    def entries(self) -> Iterator[int]:
        """The tokens of all entries that a record depends on. Nothing may be added meanwhile."""
        for place, token in enumerate(self._tokens):
            if token & _ENTRY and self._keys[place] is not None:
                yield token
        yield from (token for token in self._crowds if token & _ENTRY)

    def _make(self, size: int) -> None:
        self._tokens = array("Q", bytes(8 * size))
        self._digests = array("I", bytes(4 * size))
        self._keys: list[bytes | None] = [None] * size
        self._mask = size - 1
        self._used = 0
        self._crowds: dict[int, dict[bytes, None]] = {}
        self._crowd_digests: dict[int, int] = {}

    def _make_crowd(self, token: int) -> None:
        crowd: dict[bytes, None] = {}
        digests = set()
        for place in self._places(token):
            key = self._keys[place]
            if key is not None:
                crowd[key] = None
                digests.add(self._digests[place])
                self._keys[place] = None
        self._crowds[token] = crowd
        if len(digests) == 1:
            self._crowd_digests[token] = digests.pop()

    def _add_to_crowd(self, token: int, key: bytes, digest: int) -> None:
        crowd = self._crowds[token]
        if self._crowd_digests.get(token) != digest:
            self._crowd_digests.pop(token, None)  # they saw different states: any change concerns them all
        crowd[key] = None
        if len(crowd) & (len(crowd) - 1) == 0:  # each time that it has doubled
            self._crowds[token] = {one: None for one in crowd if self._alive(one)}

    def _grow(self) -> None:
        """Twice the size, or the same when half of the records have gone."""
        old = list(zip(self._tokens, self._keys, self._digests, strict=True))
        crowds, crowd_digests = self._crowds, self._crowd_digests
        living = [one for one in old if one[1] is not None and self._alive(one[1])]
        size = len(old)
        while len(living) * 3 > size:
            size *= 2
        self._make(size)
        self._crowds, self._crowd_digests = crowds, crowd_digests
        tokens, keys, digests, mask = self._tokens, self._keys, self._digests, self._mask
        for token, key, digest in living:
            place = token & mask
            while tokens[place]:
                place = (place + 1) & mask
            tokens[place], keys[place], digests[place] = token, key, digest
        self._used = len(living)
