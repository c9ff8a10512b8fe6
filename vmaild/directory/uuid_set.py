"""A set of entryUUIDs in little more than their 16 bytes each; pure.

A Python set of ``bytes`` takes some 110 bytes for each, and a directory of a million entries sends a million of them
at once. Here they stand one after the other in a fixed number of buckets, and a bucket is searched from its start.
"""

from __future__ import annotations

from collections.abc import Iterator
from zlib import crc32

from vmaild.directory.sync_events import UUID_SIZE

BUCKETS = 4_096
"""With a million entries a bucket has 4 KB, which is searched in about a microsecond."""


class UuidSet:
    """Holds what was added; the same twice counts twice in ``len``."""

    __slots__ = ("_buckets", "_count")

    def __init__(self) -> None:
        self._buckets: dict[int, bytearray] = {}
        self._count = 0

    def add(self, uuid: bytes) -> None:
        """Add ``uuid``, 16 bytes; ``ValueError`` for another size."""
        if len(uuid) != UUID_SIZE:
            raise ValueError("not an entryUUID")
        self._buckets.setdefault(crc32(uuid) % BUCKETS, bytearray()).extend(uuid)
        self._count += 1

    def __contains__(self, uuid: bytes) -> bool:
        bucket = self._buckets.get(crc32(uuid) % BUCKETS)
        if bucket is None or len(uuid) != UUID_SIZE:
            return False
        at = bucket.find(uuid)
        while at % UUID_SIZE and at > 0:
            at = bucket.find(uuid, at + 1)
        return at >= 0

    def with_part(self, crc: int, part: bytes, at: int) -> Iterator[bytes]:
        """Those with this CRC-32 whose bytes from ``at`` on are ``part``."""
        bucket = self._buckets.get(crc % BUCKETS, b"")
        found = bucket.find(part)
        while found >= 0:
            start = found - at
            if start >= 0 and start % UUID_SIZE == 0 and crc32(uuid := bytes(bucket[start : start + UUID_SIZE])) == crc:
                yield uuid
            found = bucket.find(part, found + 1)

    def __len__(self) -> int:
        return self._count
