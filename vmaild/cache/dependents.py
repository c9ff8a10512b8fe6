"""Which records were made from what: from an entry, or from what an address, a domain or a DN had or had not.

What a record depends on is named by a *token*, a number: that of an entryUUID (``of_entry``), of an address that was
looked for on the way (``of_address``), of the domain of a "not found" (``of_domain``), of a DN that named nothing
(``of_name``). When one of them changes, ``take`` says which keys are concerned.

There may be a million records, and most depend on one entry. So this is hash tables of three arrays: 20 bytes for each
place, 30 to 60 for each record, where a dict of numbers takes 100. A token that many records share (the entry of a
catch-all) has a ``Crowd`` instead. Keys are never removed when their record goes: a key without a record is dropped
when the table grows, and costs nothing but its place until then. What one token has is a superset, never less.

Beside an entry's token stands the ``digest`` of what was seen of it: a change after which it is the same is none.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection, Container, Iterator, Mapping
from zlib import crc32

from vmaild.cache.crowd import Crowd, Others

TABLES = 4096
"""So many that each stays small: one that doubles holds up the loop for half a millisecond with a million records."""

SHIFT = 20
"""The bits of a token that choose its table stand here, those that choose its place there below."""

FIRST_SIZE = 8
"""Places of a table at the beginning, a power of two."""

CROWD = 8
"""Keys of one token in the table; more have a ``Crowd``, so that those of others are not far from their place."""

EXACT = 1000
"""Keys of a crowd that are gone through at once; of a larger one, ``take`` leaves those that it returns."""

PLACE = 70
"""Bytes of a place of a table: 20, and the key of a record that has gone, which stays in up to two of three."""

IN_CROWD = 150
"""Bytes of a key in a crowd."""

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


def uuid_in(values: tuple[bytes, ...]) -> bytes | None:
    """The 16 bytes of an entryUUID (RFC 4530), None when the values are no such thing."""
    if len(values) != 1:
        return None
    try:
        uuid = bytes.fromhex(values[0].replace(b"-", b"").decode("ascii"))
    except ValueError:
        return None
    return uuid if len(uuid) == 16 else None


def digest_of(dn: str, attributes: Mapping[str, tuple[bytes, ...]]) -> int:
    """What was seen of an entry as a number of 32 bits."""
    return hash((dn, frozenset(attributes.items()))) & 0xFFFFFFFF


class _Table:
    """Tokens with their keys and digests. It doubles as a whole, so it must be small."""

    __slots__ = ("digests", "keys", "tokens", "used")

    def __init__(self, size: int = FIRST_SIZE) -> None:
        self.tokens = array("Q", bytes(8 * size))
        self.digests = array("I", bytes(4 * size))
        self.keys: list[bytes | None] = [None] * size
        self.used = 0

    def places(self, token: int) -> list[int]:
        """Where the token stands."""
        places = []
        tokens = self.tokens
        mask = len(tokens) - 1
        place = token & mask
        while (found := tokens[place]) != 0:
            if found == token:
                places.append(place)
            place = (place + 1) & mask
        return places

    def put(self, token: int, key: bytes, digest: int) -> None:
        """Add what is not there."""
        tokens = self.tokens
        mask = len(tokens) - 1
        place = token & mask
        while tokens[place]:
            place = (place + 1) & mask
        tokens[place], self.keys[place], self.digests[place] = token, key, digest
        self.used += 1

    def grown(self, alive: Callable[[bytes], object]) -> _Table:
        """A table with room for more: twice the size, or the same when half of the records have gone."""
        living = [
            (token, key, digest)
            for token, key, digest in zip(self.tokens, self.keys, self.digests, strict=True)
            if key is not None and alive(key)
        ]
        size = len(self.keys)
        while len(living) * 2 > size:
            size *= 2
        table = _Table(size)
        for one in living:
            table.put(*one)
        return table


class Dependents:
    """``alive`` tells whether there is a record for a key."""

    def __init__(self, alive: Callable[[bytes], object]) -> None:
        self._alive = alive
        self._tables: list[_Table | None] = [None] * TABLES
        self._crowds: dict[int, Crowd] = {}
        self._places = 0
        self._crowded = 0

    @property
    def size(self) -> int:
        """About how many bytes of memory all of it takes."""
        return self._places * PLACE + self._crowded * IN_CROWD

    def __len__(self) -> int:
        """How many dependences are noted, those of records that have gone included."""
        return sum(table.used for table in self._tables if table) + self._crowded

    def add(self, token: int, key: bytes, digest: int = 0) -> None:
        """The record of ``key`` depends on ``token``, which has that digest now."""
        if token in self._crowds:
            self._add_to_crowd(token, key, digest)
            return
        number = token >> SHIFT & TABLES - 1
        table = self._tables[number]
        if table is None:
            table = self._tables[number] = _Table()
            self._places += FIRST_SIZE
        places = table.places(token)
        vacant = -1
        for place in places:
            there = table.keys[place]
            if there == key:
                table.digests[place] = digest
                return
            if there is None:
                vacant = place
        if vacant >= 0:
            table.keys[vacant], table.digests[vacant] = key, digest
        elif len(places) >= CROWD:
            self._make_crowd(token, table, places)
            self._add_to_crowd(token, key, digest)
        else:
            table.put(token, key, digest)
            if table.used * 3 > len(table.keys) * 2:
                self._tables[number] = grown = table.grown(self._alive)
                self._places += len(grown.keys) - len(table.keys)

    def seen(self, token: int, digest: int) -> Collection[bytes]:
        """The keys that depend on ``token`` and have seen this ``digest``: good until something is added."""
        crowd = self._crowds.get(token)
        if crowd is not None:
            return crowd if crowd.digest == digest else _NOBODY
        table = self._table(token)
        if table is None:
            return _NOBODY
        found = [table.keys[place] for place in table.places(token) if table.digests[place] == digest]
        return frozenset(key for key in found if key is not None) if found else _NOBODY

    def has(self, token: int) -> bool:
        """Whether any key depends on ``token``."""
        table = self._table(token)
        if table is None or token in self._crowds:
            return token in self._crowds
        return any(table.keys[place] is not None for place in table.places(token))

    def take(self, token: int, digest: int = -1, but: Container[bytes] = _NOBODY) -> Collection[bytes]:
        """The keys that depend on ``token``, and forget that they do.

        Not those that have seen this ``digest``, nor those of ``but``. There may be very many.
        """
        if token in self._crowds:
            return self._take_crowd(token, digest, but)
        taken: list[bytes] = []
        table = self._table(token)
        if table is None:
            return taken
        for place in table.places(token):
            key = table.keys[place]
            if key is not None and table.digests[place] != digest and key not in but:
                taken.append(key)
                table.keys[place] = None
        return taken

    def entries(self) -> Iterator[int]:
        """The tokens of all entries that a record depends on. Those that come or go during that may be left out."""
        for number in range(TABLES):
            table = self._tables[number]
            if table is not None:
                living = zip(table.tokens, table.keys, strict=True)
                yield from [token for token, key in living if token & _ENTRY and key is not None]
        yield from [token for token in self._crowds if token & _ENTRY]

    def _table(self, token: int) -> _Table | None:
        return self._tables[token >> SHIFT & TABLES - 1]

    def _take_crowd(self, token: int, digest: int, but: Container[bytes]) -> Collection[bytes]:
        crowd = self._crowds[token]
        if crowd.digest == digest:
            return []
        if but is not _NOBODY and len(crowd) > EXACT:
            return Others(crowd, but)
        kept = [key for key in crowd if key in but] if but is not _NOBODY else []
        self._crowded += len(kept) - len(crowd)
        if not kept:
            return self._crowds.pop(token)
        self._crowds[token] = Crowd(kept, crowd.digest)
        return [key for key in crowd if key not in but]

    def _make_crowd(self, token: int, table: _Table, places: list[int]) -> None:
        keys: dict[bytes, None] = {}
        digests = set()
        for place in places:
            key = table.keys[place]
            if key is not None:
                keys[key] = None
                digests.add(table.digests[place])
                table.keys[place] = None
        self._crowds[token] = Crowd(keys, digests.pop() if len(digests) == 1 else None)
        self._crowded += len(keys)

    def _add_to_crowd(self, token: int, key: bytes, digest: int) -> None:
        crowd = self._crowds[token]
        if crowd.digest != digest:
            crowd.digest = None  # they saw different states: any change concerns them all
        before = len(crowd)
        crowd.add(key, self._alive)
        self._crowded += len(crowd) - before
