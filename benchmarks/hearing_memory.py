"""What a record takes of memory while changes are heard: ``python -m benchmarks.hearing_memory [--records N ...]``.

A slapd with the demo's tree, whose changes are heard by sync, and maps whose searches are answered at once by entries
made up after one of its own. Each figure is of a process of its own: resident memory with so many records less that
with none, for each record; and what is accounted for (``Cache.sizes``, ``Freshness.size``). ``--flood MIB`` fills a
cache of that ``max_size`` with several times what it can hold, of accounts and of "not found" by turns.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvloop

from benchmarks.report.output import machine
from benchmarks.site.population import address, domain_of, mailbox
from tests.cache.floods import resident
from vmaild.cache import Answer, Cache, CacheSettings
from vmaild.config.maps import Common, read_maps
from vmaild.config.section import Problems
from vmaild.demo.slapd import Slapd
from vmaild.demo.tree import READER_DN, READER_PW, SEARCH_BASE, tree
from vmaild.directory import DirectorySettings, Pool
from vmaild.directory.pool import Found
from vmaild.feed import Feed
from vmaild.lookup import Entry, Reply, Scope, Search
from vmaild.maps import Freshness, Maps
from vmaild.process import GcTuning
from vmaild.tables.schema import Schema

MAP = b"virtual_mailbox_maps"
MIB = 1 << 20
UNBOUNDED = {"max_entries": 1 << 30, "max_negative_entries": 1 << 30}
SLICE = 500
STEPS = 8_000
"""Lookups of a flood for each MiB: twice what there is room for, of the smallest records."""

_ADDRESS = re.compile(r"mail=user(\d+)@")


class Directory:
    """Answers each search at once. ``like`` is the entry after which all are made; ``schema``, ``uri`` the server's."""

    def __init__(self, like: Entry, schema: Schema | None, uri: str) -> None:
        self._like = like
        self.schema = schema
        self.search_time = 0.0
        self._uri = uri

    def begin(self, search: Search, end: float, done: Callable[[Found], None]) -> None:
        """``done`` is called before this returns."""
        match = _ADDRESS.search(search.filter)
        entries = [self._entry(int(match[1]))] if match else []
        done(Found(entries, time.monotonic(), self.schema, self._uri))

    def _entry(self, number: int) -> Entry:
        attributes = dict(self._like.attributes)
        attributes["mail"] = (address(number).encode(),)
        attributes["mailbox"] = (mailbox(number).encode(),)
        attributes["entryuuid"] = (
            str(uuid.UUID(int=number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % (1 << 128))).encode(),
        )
        return Entry(f"mail={address(number)},o={domain_of(number)},{SEARCH_BASE}", attributes)


class Site:
    """Maps that are told of a slapd's changes, unless ``changes`` is "none"."""

    def __init__(self, slapd: Slapd, changes: str, cache: CacheSettings) -> None:
        self._settings = DirectorySettings(
            (slapd.uri,), SEARCH_BASE, bind_dn=READER_DN, bind_pw=READER_PW, changes=changes
        )
        self._groups = read_maps("courier", {}, Common(SEARCH_BASE), Problems("memory")).groups
        self.pool = Pool(self._settings)
        self.cache = Cache(cache)
        self.tuning = GcTuning(lambda: self.cache.counters.stored, lambda: self.cache.freed)
        self.maps: Maps
        self.freshness: Freshness | None = None
        self._feed: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect, hear, and make the directory."""
        await self.pool.start()
        while self.pool.schema is None:  # noqa: ASYNC110 - it sets no event
            await asyncio.sleep(0.01)
        # Of what a record is made from, only what the maps ask for.
        wanted = tuple(sorted(frozenset[str](("entryuuid",)).union(*(group.attributes for group in self._groups))))
        (like,) = await self.pool.search(
            Search(f"o=domain1.example,{SEARCH_BASE}", Scope.SUB, "(mail=user1@domain1.example)", wanted)
        )
        directory = Directory(like, self.pool.schema, self.pool.current_uri)
        self.maps = Maps(self._groups, self.cache, directory, timeout=3.0)
        if self._settings.changes != "none":
            self.freshness = Freshness(self.cache, self.maps.groups, 6.0)
            self.maps.hear(self.freshness, self._groups)
            feed = Feed(self._settings, self.pool, self.freshness)
            self._feed = asyncio.create_task(feed.run())
            while not self.freshness.hears:  # noqa: ASYNC110 - it sets no event
                await asyncio.sleep(0.01)
        self.tuning.start()

    def ask(self, key: str) -> None:
        """One lookup, which is answered soon."""
        got = self.maps.seek(MAP, key.encode(), lambda _: b"")
        if not isinstance(got, Reply | Answer):
            self.maps.look_up(got, lambda _: None)

    async def answered(self) -> None:
        """Until all that was asked is answered, and what is accounted for is up to date."""
        while self.maps.in_flight:  # noqa: ASYNC110 - an event would have to be set on the way of each lookup
            await asyncio.sleep(0)
        self.tuning.tick()

    @property
    def accounted(self) -> int:
        """Bytes that are accounted for."""
        return sum(self.cache.sizes.values()) + (0 if self.freshness is None else self.freshness.size)

    async def close(self) -> None:
        """End it."""
        if self._feed is not None:
            self._feed.cancel()
            await asyncio.gather(self._feed, return_exceptions=True)
        await self.maps.close()
        await self.pool.close()


async def weigh(slapd: Slapd, changes: str, records: int) -> dict[str, Any]:
    """Resident and accounted bytes of so many records, with their requests not remembered."""
    site = Site(slapd, changes, CacheSettings(max_size=1 << 40, **UNBOUNDED))
    await site.start()
    for number in range(1000):  # what is made once
        site.ask(f"user{records + number}@{domain_of(records + number)}")
    await site.answered()
    before, kept = resident(), len(site.cache)
    for number in range(records):
        site.ask(address(number))
        if number % SLICE == 0:
            await site.answered()
    await site.answered()
    count = len(site.cache) - kept
    result = {
        "changes": changes,
        "records": count,
        "resident a record": (resident() - before) / count,
        "accounted a record": site.accounted / len(site.cache),
        "dependences a record": 0.0 if site.freshness is None else site.freshness.size / len(site.cache),
    }
    await site.close()
    return result


async def flood(slapd: Slapd, kind: str, mib: int) -> dict[str, Any]:
    """The most resident memory beyond what there was at first, in MiB."""
    site = Site(slapd, "sync", CacheSettings(max_size=mib * MIB, **UNBOUNDED))
    await site.start()
    before, most = resident(), 0
    for number in range(mib * STEPS):
        nobody = kind == "nobody" or (kind == "both" and number % 2)
        site.ask(f"{number:x}.nobody@{domain_of(number)}" if nobody else address(number))
        if number % SLICE == 0:
            await site.answered()
            most = max(most, resident())
            assert site.accounted <= mib * MIB, "what is accounted for is within its bound"
    result = {"kind": kind, "max_size": mib, "most": (most - before) / MIB, "accounted": site.accounted / MIB,
              "dependences": len(site.freshness or ()), "records": len(site.cache)}  # fmt: skip
    await site.close()
    return result


KINDS = ("accounts", "nobody", "both")


def _measure(arguments: argparse.Namespace) -> dict[str, Any]:
    with (
        tempfile.TemporaryDirectory(prefix="vmaild-benchmark-") as name,
        Slapd(Path(name) / "slapd", ldif=tree(), syncprov=True) as slapd,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        if arguments.flood:
            return runner.run(flood(slapd, arguments.one, arguments.flood))
        return runner.run(weigh(slapd, arguments.one, arguments.records[0]))


def _each(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """A process for each figure."""
    if arguments.flood:
        wanted = [["--flood", str(arguments.flood), "--one", kind] for kind in KINDS]
    else:
        wanted = [
            ["--records", str(records), "--one", changes]
            for records in arguments.records
            for changes in ("none", "sync")
        ]
    rows = []
    for one in wanted:
        command = [sys.executable, "-m", "benchmarks.hearing_memory", *one]
        rows.append(json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout))
        print(", ".join(f"{name} {value:,.0f}" if name != "changes" and name != "kind" else str(value)
                        for name, value in rows[-1].items()), flush=True)  # fmt: skip
    return rows


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--records", type=int, nargs="*", default=[100_000, 1_000_000])
    parser.add_argument("--flood", type=int, default=0, metavar="MIB")
    parser.add_argument("--one", metavar="WHAT", help="one figure, as JSON, in this very process")
    parser.add_argument("--json", type=Path, help="write the result here too")
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(_measure(arguments)))
        return
    rows = _each(arguments)
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
