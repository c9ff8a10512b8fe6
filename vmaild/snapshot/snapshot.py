"""Writes a snapshot every few minutes and at the end, and reads it at the start.

What is read is stale: it serves only while the directory does not answer, for ``stale_ttl`` from when it was written,
and is renewed at its first use else. A "not found" of an address is never among it. The hosted domains serve as after
a reading that long ago (``vmaild.feed.domains``).

A snapshot belongs to one configuration: the meaning of the maps, the search base and the account that reads. It
belongs to one directory, told by the entryUUID of the search base: that cannot be compared before the directory
answers, and then what another one said is forgotten. One that is damaged, foreign or too old is left out, with one
line in the log.

The loop is never held: records are turned to lines, ``SLICE`` in a turn, and lines to records, ``file.BLOCK`` bytes
in a turn, and a thread does the rest.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from vmaild.cache import Cache, Record
from vmaild.directory import Cookie, Pool
from vmaild.errors import LookupFailure
from vmaild.feed import HostedDomains
from vmaild.lookup import Scope, Search
from vmaild.snapshot import file

logger = logging.getLogger("vmaild.snapshot")

INTERVAL = 300.0
"""Seconds between two snapshots."""

SLICE = 300
"""Records in a turn of the loop: about a millisecond."""

RETRY = 1.0
NAME = "snapshot"


def fingerprint(*meaning: object) -> str:
    """What a snapshot is bound to, as text: of the same objects the same."""
    return hashlib.blake2b(repr(meaning).encode(), digest_size=16).hexdigest()


class Snapshot:
    """``directory`` is where the file is; ``configuration`` a ``fingerprint``; ``pools`` are the directories, each with
    its search base. ``groups`` are what the keys of records begin with and how many maps each has, in the order of the
    configuration: after a reload these numbers are others than after a restart. ``wall`` is the time of day;
    ``in_thread`` runs what blocks."""

    def __init__(
        self,
        directory: Path,
        configuration: str,
        cache: Cache,
        pools: Sequence[tuple[Pool, str]],
        groups: Sequence[tuple[bytes, int]],
        domains: HostedDomains | None = None,
        wall: Callable[[], float] = time.time,
        in_thread: Callable[..., Awaitable[Any]] = asyncio.to_thread,
    ) -> None:
        self.path = directory / NAME
        self._configuration = configuration
        self._cache = cache
        self._pools = pools
        self._domains = domains
        self._groups = groups
        self._places = {prefix: b"%d " % place for place, (prefix, _) in enumerate(groups)}
        self._wall = wall
        self._in_thread = in_thread
        self._identity = ""
        self._restored_identity = ""
        self._restored: list[bytes] = []

    # --- at the start -------------------------------------------------------------------------------------------------

    async def restore(self) -> int:
        """Take what was known when the last daemon ended. Returns how many records there were."""
        try:
            header, pieces = await self._in_thread(file.read, self.path)
            age = self._checked_age(header)
            self._take_header(header, age)
            count = await self._take_records(pieces, self._cache.clock() - age)
        except FileNotFoundError:
            return 0
        except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
            logger.warning("the snapshot %s is not used: %s", self.path, getattr(error, "strerror", None) or error)
            return 0
        logger.info("%d records of %d s ago serve while the directory does not answer", count, age)
        return count

    def _checked_age(self, header: dict[str, Any]) -> float:
        if header["configuration"] != self._configuration:
            raise ValueError("it is of another configuration")
        age = max(0.0, self._wall() - float(header["written"]))
        if age > self._cache.settings.stale_ttl:
            raise ValueError("it is too old")
        return age

    def _take_header(self, header: dict[str, Any], age: float) -> None:
        self._restored_identity = str(header["identity"])
        for (pool, _), text in zip(self._pools, header["states"], strict=True):
            if text:
                # The directory has shown its state: a server without one is not loaded.
                pool.seen.required = True
                pool.seen.add(Cookie.parse(str(text).encode()), self._cache.clock() - age)
        if self._domains is not None and header["domains"]:
            self._domains.restore([str(name) for name in header["domains"]], age)

    async def _take_records(self, pieces: list[bytes], expired_at: float) -> int:
        for piece in pieces:
            for place_and_key, known in file.records_of(piece):
                place, _, key = place_and_key.partition(b" ")
                prefix, maps = self._groups[int(place)]
                if len(known) != maps:
                    raise ValueError("a record is not of these maps")
                key = prefix + key
                if self._cache.get(key) is None:
                    self._cache.keep(Record(key, known, expired_at, expired_at))
                    self._restored.append(key)
                    # By this it is known that the collector is to be kept away from them.
                    self._cache.counters.stored += 1
            await asyncio.sleep(0)
        return len(self._restored)

    # --- while it runs -----------------------------------------------------------------------------------------------

    def follow(self, before: Snapshot) -> None:
        """Take the place of ``before``, with the same directories."""
        self._identity, self._restored_identity = before._identity, before._restored_identity
        self._restored = before._restored

    async def run(self, *, restore: bool = False) -> None:
        """Find out which directory it is, then write again and again, until cancelled; with ``restore`` read before."""
        if restore:
            await self.restore()
        identified = False
        while True:
            identified = identified or await self.identify()
            await asyncio.sleep(INTERVAL if identified else RETRY)
            if identified:
                await self.write()

    async def identify(self) -> bool:
        """Ask the directory who it is; forget what another one said. False when it does not answer."""
        try:
            self._identity = " ".join([await _identity(pool, base) for pool, base in self._pools])
        except LookupFailure:
            return False
        if self._restored_identity.strip() and self._identity.strip() and self._identity != self._restored_identity:
            logger.warning("the snapshot %s is of another directory: forgotten", self.path)
            for key in self._restored:
                record = self._cache.get(key)
                if record is not None and record.expires_at <= self._cache.clock():
                    self._cache.forget(key)
        self._restored.clear()
        return True

    async def write(self) -> bool:
        """Write the file now. False when that failed, which is logged."""
        chunks = await self._chunks()
        seen = [pool.seen.states for pool, _ in self._pools]
        header = {
            "configuration": self._configuration,
            "identity": self._identity or self._restored_identity,
            "written": self._wall(),
            "domains": list(self._domains.names) if self._domains is not None and self._domains.known else [],
            "states": [bytes(states[-1][1]).decode("ascii") if states else "" for states in seen],
        }
        try:
            await self._in_thread(file.write, self.path, header, chunks)
        except OSError as error:
            logger.warning("the snapshot %s cannot be written: %s", self.path, error.strerror or error)
            return False
        return True

    async def _chunks(self) -> list[bytes]:
        chunks: list[bytes] = []
        lines: list[bytes] = []
        now, stale = self._cache.clock(), self._cache.settings.stale_ttl
        for number, record in enumerate(self._cache.all()):
            if record.positive and now < record.expires_at + stale and (line := self._line_of(record)):
                lines.append(line)
            if number % SLICE == SLICE - 1:
                chunks.append(b"".join(lines))
                lines.clear()
                await asyncio.sleep(0)
        chunks.append(b"".join(lines))
        return chunks

    def _line_of(self, record: Record) -> bytes | None:
        end = record.key.index(b" ") + 1
        place = self._places.get(record.key[:end])
        return None if place is None else file.line_of(place + record.key[end:], record.known)


async def _identity(pool: Pool, base: str) -> str:
    """The entryUUID of the search base; empty where it does not show one."""
    entries = await pool.search(Search(base, Scope.BASE, "(objectClass=*)", ("entryuuid",)))
    values = entries[0].values("entryuuid") if entries else ()
    return values[0].decode("latin-1") if values else ""
