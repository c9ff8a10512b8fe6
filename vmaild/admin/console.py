"""What the running daemon answers on its control socket, beside ``flush`` and ``stats``.

``query`` and ``explain`` ask the directory and take as long as a lookup; all others answer at once. Whatever goes out
is bounded: so many records, entries and values, and each text cut at ``MAX_TEXT``. Times of records are by the cache's
clock, given as ages and as seconds to come.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from vmaild.cache import PREFETCH_SHARE, Record, reply_of
from vmaild.errors import DataError
from vmaild.lookup import NOT_FOUND, Entry, Reply, Request, Status
from vmaild.maps import Explanation, Map, Sent, explain
from vmaild.tables import address

if TYPE_CHECKING:
    from vmaild.cache import Cache
    from vmaild.cache.record import Known
    from vmaild.directory import Directories
    from vmaild.feed import HostedDomains
    from vmaild.maps import Maps

Json = dict[str, Any]

LEVELS = ("debug", "info", "warning", "error")

MAX_LISTED = 1000
"""Records listed at most."""

MAX_SCANNED = 20_000
"""Records examined for a list: some milliseconds."""

MAX_ENTRIES = 20
"""Entries of one search that are told, and values of one attribute."""

MAX_TEXT = 2000
"""Characters of one text that are told: an alias of a thousand members is cut."""

PORTION = 50
"""Records told, or passed over, in a turn of the loop: a millisecond at most."""

MAX_DOMAINS_TEXT = 900_000
"""Characters of all domain names in one answer: what the control socket's answer has room for."""

CAUSE_SECONDS = 2.0
"""How long the cause of a failure may take, once a lookup has failed."""


class Unknown(Exception):
    """The command names something that is not there. The text is for the administrator."""


class Console:
    """``status`` makes the state of the moment (``vmaild.admin.status``); ``hosted`` is the set of domains in use, None
    where there is none."""

    def __init__(
        self,
        maps: Maps,
        cache: Cache,
        directory: Directories,
        status: Callable[[], Json],
        hosted: Callable[[], HostedDomains | None] = lambda: None,
    ) -> None:
        self._cache = cache
        self.status = status
        self._hosted = hosted
        self.use(maps, directory)

    def use(self, maps: Maps, directory: Directories) -> None:
        """Tell of these from now on."""
        self.maps = maps
        self._directory = directory
        self._by_prefix: dict[bytes, list[Map]] = {}
        for entry in maps.all:
            self._by_prefix.setdefault(entry.prefix, []).append(entry)

    def log_level(self, level: str = "") -> str:
        """Set the level of the daemon's log, and return the one that holds now. Raises ``Unknown``."""
        logger = logging.getLogger("vmaild")
        if level:
            if level not in LEVELS:
                raise Unknown(f"no log level {level!r}: write one of {', '.join(LEVELS)}")
            logger.setLevel(level.upper())
        return logging.getLevelName(logger.getEffectiveLevel()).lower()

    def domains(self, *, confirm: bool = False) -> Json:
        """The hosted domains as vmaild knows them; with ``confirm`` what was read last counts. Raises ``Unknown``."""
        hosted = self._hosted()
        if hosted is None:
            raise Unknown("the hosted domains are not known as a set: the maps do not allow it, or stale_domains is 0")
        gone = hosted.confirm() if confirm else []
        missing = hosted.missing
        return {
            "total": len(hosted.names),
            "age": hosted.age,
            "in_use": hosted.known,
            "domains": _cut(sorted(hosted.names)),
            "missing": {name: missing[name] for name in _cut(sorted(missing))},
            "not_believed": None if hosted.not_believed is None else len(hosted.not_believed),
            "taken_out": _cut(gone),
        }

    async def cached(self, map_name: bytes | None, count: int) -> Json:
        """The records of a map, or of all, stored last. Raises ``Unknown``."""
        prefix = b"" if map_name is None else self._named(map_name).prefix
        count = min(count, MAX_LISTED)
        found: list[Json] = []
        more = len(self._cache) > MAX_SCANNED
        for number, record in enumerate(self._cache.newest(MAX_SCANNED)):
            if number % PORTION == PORTION - 1:
                await asyncio.sleep(0)
            if record.retired or not record.key.startswith(prefix):
                continue
            if len(found) == count:
                more = True
                break
            found.append(self._record(record))
        return {"records": found, "more": more, "total": len(self._cache)}

    def shown(self, key: bytes) -> Json:
        """What the cache knows of one key: its records, one for each group of maps."""
        folded = address.fold(key)
        if not folded:
            return {"records": []}
        found = [record for prefix in self._by_prefix if (record := self._cache.get(prefix + folded)) is not None]
        return {"records": [self._record(record) for record in found]}

    async def query(self, map_name: bytes, key: bytes) -> Json:
        """The answer that a client would get, with the cause where it is a failure. Raises ``Unknown``."""
        entry = self._named(map_name)
        reply = await self.maps.find(Request(map_name, key))
        answer: Json = {"status": reply.status.value.decode(), "text": reply.text.decode(errors="replace")}
        if reply.status not in (Status.FOUND, Status.NOT_FOUND):
            answer["cause"] = await self._cause(entry, key) or answer["text"]
            answer["servers"] = server_errors(self._directory)
        return answer

    async def _cause(self, entry: Map, key: bytes) -> str:
        """Why the lookup fails, in words: asked once more, for a short while."""
        try:
            async with asyncio.timeout(CAUSE_SECONDS):
                return (await explain(self.maps, entry, key.decode(errors="surrogateescape"))).failure
        except TimeoutError:
            return "the directory does not answer in time"

    async def explain(self, map_name: bytes, key: bytes) -> Json:
        """How the map answers the key, from the directory now, and what the cache has. Raises ``Unknown``."""
        entry = self._named(map_name)
        told = await explain(self.maps, entry, key.decode(errors="surrogateescape"))
        answer = as_json(told)
        answer["cached"] = self._record(told.record) if told.record is not None else None
        answer["servers"] = server_errors(self._directory) if told.failure and not told.guarded else []
        return answer

    def _named(self, name: bytes) -> Map:
        entry = self.maps.named(name)
        if entry is None:
            raise Unknown(f"no map named {name.decode(errors='replace')!r}")
        return entry

    def _record(self, record: Record) -> Json:
        number, _, key = record.key.partition(b" ")
        now = self._cache.clock()
        maps = self._by_prefix[number + b" "]
        return {
            "key": key.decode(errors="backslashreplace")[:MAX_TEXT],
            "positive": record.positive,
            "age": _age(record, now),
            "expires_in": record.expires_at - now,
            "state": "stale" if now >= record.expires_at else "fresh",
            "maps": {entry.name: known_in_words(record.known[entry.place]) for entry in maps},
        }


def _cut(names: list[str]) -> list[str]:
    """As many of the names as may be told."""
    left = MAX_DOMAINS_TEXT // 3
    for count, name in enumerate(names):
        left -= len(name) + 4
        if left < 0:
            return names[:count]
    return names


def server_errors(directory: Directories) -> list[str]:
    """What ails each server that is not up, in words."""
    states = directory.status().servers
    return [f"{server.uri}: {server.last_error or 'not connected yet'}" for server in states if not server.up]


def _age(record: Record, now: float) -> float | None:
    """Seconds since the record was stored, to a second or so; None when a renewal has begun or failed since."""
    left = record.expires_at - record.refresh_at
    return max(0.0, now - (record.expires_at - left / PREFETCH_SHARE)) if left > 0 else None


def known_in_words(known: Known) -> str:
    """What a record knows for a map, as ``cache show`` prints it."""
    if known is None:
        return "not asked for yet"
    if isinstance(known, DataError):
        return f"refused: {known}"[:MAX_TEXT]
    reply = reply_of(known)
    return in_words(reply)


def in_words(reply: Reply) -> str:
    """A reply as the commands print it."""
    if reply.status is Status.FOUND:
        return f"OK {reply.text.decode(errors='replace')}"[:MAX_TEXT]
    if reply.nodata:
        return "NOTFOUND (the entry exists, and has nothing for this map)"
    return "NOTFOUND" if reply is NOT_FOUND else f"{reply.status.value.decode()} {reply.text.decode(errors='replace')}"


def as_json(told: Explanation) -> Json:
    """An explanation as JSON can carry it."""
    decided = told.decided
    return {
        "map": told.map.name,
        "key": told.folded or told.key,
        "search_keys": told.search_keys,
        "searches": [_search(sent) for sent in told.sent],
        "answer": in_words(told.reply) if told.reply is not None else "",
        "value": told.reply.text.decode(errors="replace") if told.reply is not None else "",
        "failure": told.failure,
        "guarded": told.guarded,
        "decided": {"search_key": decided[0], "query": decided[1], "entry": decided[2]} if decided else None,
        "missing_canaries": list(told.canary),
        "warnings": told.warnings[:MAX_ENTRIES],
    }


def _search(sent: Sent) -> Json:
    search = sent.search
    return {
        "base": search.base,
        "scope": search.scope.value,
        "filter": search.filter[:MAX_TEXT],
        "attributes": list(search.attributes),
        "seconds": sent.seconds,
        "failure": sent.failure,
        "count": len(sent.entries),
        "entries": [_entry(entry) for entry in sent.entries[:MAX_ENTRIES]],
    }


def _entry(entry: Entry) -> Json:
    return {
        "dn": entry.dn,
        "attributes": {
            name: [value.decode(errors="backslashreplace")[:MAX_TEXT] for value in values[:MAX_ENTRIES]]
            for name, values in entry.attributes.items()
        },
    }
