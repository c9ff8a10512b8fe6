"""What a directory server sends to one who follows its changes, and the snapshot's file: what reads either."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.directory import sync_bytes
from vmaild.cache import Cache, CacheSettings
from vmaild.config.maps import Common, read_maps
from vmaild.config.section import Problems
from vmaild.directory.sync_ber import BadMessage
from vmaild.directory.sync_cookie import Cookie
from vmaild.directory.sync_events import Event
from vmaild.directory.sync_phases import AgeAll, Changed, Deleted, Moved, Output, Present, SyncPhases
from vmaild.directory.sync_reader import MAX_MESSAGE, MessageReader
from vmaild.lookup import NODATA
from vmaild.maps import Freshness, Maps
from vmaild.snapshot import Snapshot, file

BASE = "o=x"
_GROUPS = read_maps("courier", {}, Common(BASE, "+"), Problems("fuzz")).groups
_SMALL = CacheSettings(max_entries=100, max_negative_entries=100, max_size=1 << 20)
_LOOP = asyncio.new_event_loop()
WHOLE = 1 << 30


def _events(data: bytes, size: int) -> tuple[list[Event], bool]:
    """The events in ``data``, fed ``size`` bytes at a time, and whether it ended in an error that stays."""
    reader = MessageReader()
    events: list[Event] = []
    try:
        for start in range(0, len(data), size):
            reader.feed(data[start : start + size])
            while (event := reader.next()) is not None:
                events.append(event)
            assert reader.waiting <= MAX_MESSAGE
    except BadMessage:
        try:
            reader.feed(data)
            reader.next()
        except BadMessage:
            assert reader.waiting == 0
            return events, True
        raise AssertionError("an error does not stay") from None
    return events, False


def changes(data: bytes) -> None:
    """A server's bytes in whatever pieces are the same events; what these mean is told to the maps without an error."""
    size = 1 + (data[0] if data else 0)
    events, failed = _events(data, WHOLE)
    assert _events(data, size) == (events, failed)
    for message in {event.message for event in events if hasattr(event, "message")}:
        phases = SyncPhases(message, Cookie())
        try:
            outputs = [output for event in events for output in phases.take(event)]
        except BadMessage:
            continue
        if any(isinstance(output, Changed | Deleted | Present | AgeAll | Moved) for output in outputs):
            _LOOP.run_until_complete(_tell(outputs))


async def _tell(outputs: list[Output]) -> None:
    freshness = _freshness()
    for output in outputs:
        if isinstance(output, Changed):
            freshness.changed(output.dn, output.uuid, output.attributes, added=bool(output.state))
        elif isinstance(output, Deleted):
            freshness.deleted(output.uuid)
        elif isinstance(output, Present):
            await freshness.present(lambda token: False)
        elif isinstance(output, AgeAll):
            freshness.age_all()
        elif isinstance(output, Moved):
            assert Cookie.parse(bytes(output.cookie)) == output.cookie


@functools.cache
def _freshness() -> Freshness:
    cache = Cache(_SMALL)
    maps = Maps(_GROUPS, cache, None, timeout=1.0)
    freshness = Freshness(cache, maps.groups, 2.0)
    for prefix, group in maps.groups:
        for key in (b"c", b"@c", b"c@c"):
            cache.store(prefix + key, [NODATA] * len(group.tables), None)
    return freshness


def snapshot(data: bytes) -> None:
    """Any file with a right checksum is taken, or left out for one of the reasons that there are."""
    with tempfile.TemporaryDirectory(dir=_MEMORY) as home:
        name = Path(home, "snapshot")
        name.write_bytes(data)
        with contextlib.suppress(ValueError):
            file.read(name)
        header, *lines = data.split(b"\n") if data else [b""]
        try:
            file.write(name, json.loads(header), (line + b"\n" for line in lines))
        except (ValueError, TypeError, RecursionError):
            return
        _LOOP.run_until_complete(_restore(Path(home), lines))
    for line in lines:
        try:
            ((key, known),) = file.records_of(line)
        except ValueError:
            continue
        again = file.line_of(key, known)
        assert again is None or file.records_of(again) == [(key, known)]


async def _restore(home: Path, lines: list[bytes]) -> None:
    cache = Cache(_SMALL)

    async def at_once(work: Any, *arguments: Any) -> Any:
        return work(*arguments)

    groups = [(b"5 ", 1), (b"7 ", 3)]
    count = await Snapshot(home, "c", cache, [], groups, wall=lambda: 100.0, in_thread=at_once).restore()
    assert count <= len(lines)
    for record in cache.all():
        assert len(record.known) == (1 if record.key.startswith(b"5 ") else 3)
        assert record.expires_at <= cache.clock()


_MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def sync_seeds() -> Iterator[bytes]:
    """slapd's own messages, each by itself, and all in a row."""
    yield sync_bytes.STREAM
    for text, _ in sync_bytes.RECORDED.values():
        yield bytes.fromhex(text)


HEADER = b'{"configuration": "c", "identity": "", "written": 90.0, "domains": [], "states": []}'
SNAPSHOT_SEEDS = (
    HEADER + b'\n["0 d.example", 0]\n["1 a@d.example", "d.example/a/", null, "b\\u00e4"]',
    HEADER + b'\n["2 x", 0]',
    HEADER.replace(b"90.0", b"NaN") + b'\n["-1 x", 0]',
    HEADER.replace(b"[]", b'["d.example"]') + b'\n["1 x", 1, false, 0.0]',
    b"{}\n[]\n{}\n[[",
    b"blake2b 00",
)
