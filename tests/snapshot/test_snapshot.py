"""What survives a restart, and what must not. In fake time."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cache.fake_time import in_fake_time
from tests.maps.fake_directory import account, alias
from tests.maps.site import ALIAS, LOGIN, Site, now
from tests.maps.test_serving import DOWN, TEMP
from vmaild.cache import CacheSettings
from vmaild.directory.replica_state import Seen
from vmaild.directory.sync_cookie import Cookie
from vmaild.errors import DirectoryFailure
from vmaild.lookup import NODATA, NOT_FOUND, Entry, Search, found
from vmaild.snapshot import Snapshot, file, snapshot

ANN, BOB = "ann@d.example", "bob@d.example"
SETTINGS = CacheSettings(stale_ttl=1000)
UUID = b"0f0f0f0f-0f0f-1041-8613-559050440000"


class FakePool:
    def __init__(self, uuid: bytes = UUID) -> None:
        self.seen = Seen()
        self.uuid = uuid
        self.failure: DirectoryFailure | None = None

    async def search(self, search: Search) -> list[Entry]:
        if self.failure is not None:
            raise self.failure
        return [Entry(search.base, {"entryuuid": (self.uuid,)})]


async def at_once(work: Any, *arguments: Any) -> Any:
    """In fake time a thread would never be waited for."""
    return work(*arguments)


class Restarting(Site):
    def __init__(self, home: Path, *, configuration: str = "one", uuid: bytes = UUID, wall: float = 0.0) -> None:
        super().__init__(SETTINGS)
        self.pool = FakePool(uuid)
        groups = [(prefix, len(group.tables)) for prefix, group in self.maps.groups]
        self.snapshot = Snapshot(
            home, configuration, self.cache, [(self.pool, "o=x")], groups, wall=lambda: wall + now(), in_thread=at_once
        )  # fmt: skip
        self.directory.entries += [account(ANN, "d.example/ann/"), alias(BOB, "bob@x.example")]


async def written(home: Path) -> Restarting:
    site = Restarting(home)
    for key in (ANN, BOB, "no@d.example"):
        await site.find(key)
    await site.snapshot.identify()
    assert await site.snapshot.write()
    return site


@in_fake_time
async def test_what_was_found_serves_while_the_directory_does_not_answer(tmp_path: Path) -> None:
    await written(tmp_path)
    site = Restarting(tmp_path)
    assert await site.snapshot.restore() == 2
    site.directory.failure = DOWN
    assert await site.find(ANN) == found(b"d.example/ann/")
    assert await site.find(ANN, ALIAS) == NODATA
    assert await site.find(ANN, LOGIN) == found(ANN.encode())
    assert await site.find(BOB, ALIAS) == found(b"bob@x.example")
    assert await site.find("no@d.example") == TEMP, "never a not found of an address"
    await asyncio.sleep(1001)
    assert await site.find(ANN) == TEMP


@in_fake_time
async def test_what_was_found_is_renewed_at_its_first_use(tmp_path: Path) -> None:
    await written(tmp_path)
    site = Restarting(tmp_path)
    await site.snapshot.restore()
    site.directory.entries[:] = [account(ANN, "d.example/new/")]
    assert await site.find(ANN) == found(b"d.example/new/")
    assert await site.find(BOB) == NOT_FOUND


@in_fake_time
async def test_the_file_is_for_its_owner_only_and_replaced_as_a_whole(tmp_path: Path) -> None:
    site = await written(tmp_path)
    assert stat.S_IMODE(site.snapshot.path.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["snapshot"]
    before = site.snapshot.path.read_bytes()
    (tmp_path / "snapshot.new").mkdir()
    assert not await site.snapshot.write()
    assert site.snapshot.path.read_bytes() == before


def damaged(content: bytes, how: str) -> bytes:
    middle = len(content) // 2
    return {
        "cut": content[:middle],
        "empty": b"",
        "flipped": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
        "other": b"\0" * 1000,
    }[how]


@pytest.mark.parametrize("how", ["cut", "empty", "flipped", "other"])
@in_fake_time
async def test_a_damaged_file_is_left_out_with_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    before = await written(tmp_path)
    before.snapshot.path.write_bytes(damaged(before.snapshot.path.read_bytes(), how))
    site = Restarting(tmp_path)
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        assert await site.snapshot.restore() == 0
    assert len(caplog.records) == 1
    assert len(site.cache) == 0


@pytest.mark.parametrize(
    "how", [{"configuration": "another"}, {"wall": 1001.0}], ids=["another configuration", "too old"]
)
@in_fake_time
async def test_a_foreign_or_old_file_is_left_out_with_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, how: Any
) -> None:
    await written(tmp_path)
    site = Restarting(tmp_path, **how)
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        assert await site.snapshot.restore() == 0
    assert len(caplog.records) == 1


@in_fake_time
async def test_a_file_of_another_version_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await written(tmp_path)
    monkeypatch.setattr(file, "FORMAT", 2)
    assert await Restarting(tmp_path).snapshot.restore() == 0


@in_fake_time
async def test_without_a_file_nothing_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert await Restarting(tmp_path).snapshot.restore() == 0
    assert caplog.records == []


@in_fake_time
async def test_what_another_directory_said_is_forgotten_as_soon_as_that_shows(tmp_path: Path) -> None:
    await written(tmp_path)
    site = Restarting(tmp_path, uuid=b"1" + UUID[1:])
    assert await site.snapshot.restore() == 2
    assert await site.snapshot.identify()
    assert len(site.cache) == 0


@in_fake_time
async def test_the_age_of_what_was_stale_already_goes_on(tmp_path: Path) -> None:
    await written(tmp_path)
    site = Restarting(tmp_path, wall=900.0)
    assert await site.snapshot.restore() == 2
    site.directory.failure = DOWN
    assert await site.find(ANN) == found(b"d.example/ann/")
    await asyncio.sleep(101)
    assert await site.find(ANN) == TEMP


@in_fake_time
async def test_the_state_that_the_directory_had_is_kept(tmp_path: Path) -> None:
    site = await written(tmp_path)
    state = Cookie.of_context([b"20260101000000.000000Z#000000#001#000000"])
    site.pool.seen.add(state, now())
    await site.snapshot.write()
    later = Restarting(tmp_path)
    await later.snapshot.restore()
    assert later.pool.seen.required
    assert later.pool.seen.at(now()) == state


@in_fake_time
async def test_many_records_leave_the_loop_its_turns(tmp_path: Path) -> None:
    site = Restarting(tmp_path)
    for number in range(snapshot.SLICE * 4):
        site.cache.store(site.maps._maps[ALIAS].prefix + b"%d@d.example" % number, (b"x/", NODATA, b"y"), None)
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.ensure_future(count())
    await site.snapshot.write()
    assert turns >= 4
    counting.cancel()
    assert await Restarting(tmp_path).snapshot.restore() == snapshot.SLICE * 4


@pytest.mark.parametrize(
    ("known", "line"),
    [
        ((b"d.example/\xc3\xa4/", NODATA, None), b'["k", "d.example/\\u00c3\\u00a4/", 0, null]\n'),
        ((NOT_FOUND, b"x", NOT_FOUND), b'["k", null, "x", null]\n'),
        ((NOT_FOUND, NODATA, None), None),
    ],
)
def test_a_line_of_a_record(known: Any, line: Any) -> None:
    assert file.line_of(b"k", known) == line
    if line is not None:
        ((key, back),) = file.records_of(line)
        assert key == b"k"
        assert back == [None if one is NOT_FOUND else one for one in known]


@pytest.mark.parametrize("line", [b"[]", b"{}", b'["k", 1]', b'["k", [1]]', b'[1, "x"]', b"x", b'["\\u2028", "x"]'])
def test_a_line_that_is_none_raises_value_error(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"not a|invalid|Expecting|codec"):
        file.records_of(line)


@in_fake_time
async def test_records_are_of_their_maps_whatever_numbers_a_reload_gave_these(tmp_path: Path) -> None:
    """Seen by reading: keys had the numbers of the running daemon, and a restart begins to count again."""
    site = await written(tmp_path)
    (_, one), (addresses, three) = site.snapshot._groups[:2]
    site.snapshot._places = {b"7 ": b"1 ", addresses: b"0 "}  # as after a reload with the maps in another order
    site.cache.store(b"7 " + b"x@d.example", (b"d.example/x/", NODATA, b"x@d.example"), None)
    site.cache.store(b"9 " + b"old@d.example", (b"d.example/old/", NODATA, b"old"), None)
    site.cache.forget(addresses + ANN.encode())
    site.cache.forget(addresses + BOB.encode())
    await site.snapshot.write()
    later = Restarting(tmp_path)
    assert (one, three) == (1, 3)
    assert await later.snapshot.restore() == 1
    later.directory.failure = DOWN
    assert await later.find("x@d.example") == found(b"d.example/x/")


@in_fake_time
async def test_records_that_have_not_an_answer_for_each_map_are_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    site = await written(tmp_path)
    site.cache.store(site.maps._maps[ALIAS].prefix + b"x@d.example", (b"one",), None)
    await site.snapshot.write()
    later = Restarting(tmp_path)
    await later.snapshot.restore()
    assert "not of these maps" in caplog.text
    assert later.record("x@d.example") is None


def test_two_writings_at_once_leave_one_whole_file(tmp_path: Path) -> None:
    """Seen by reading: the thread of one that nobody waits for any more wrote into the file of the last one."""
    chunks = [b"%d\n" % number for number in range(20_000)]
    both = [threading.Thread(target=file.write, args=(tmp_path / "x", {"n": n}, chunks)) for n in range(4)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert b"".join(file.read(tmp_path / "x")[1]) == b"".join(chunks)
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_line_of_many_brackets_is_no_record(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not a record"):
        file.records_of(b"[" * 100_000)


def test_a_header_is_json_that_tells_its_version(tmp_path: Path) -> None:
    file.write(tmp_path / "x", {"a": 1}, [b"[]\n"])
    assert json.loads((tmp_path / "x").read_bytes().split(b"\n")[0]) == {"vmaild": file.FORMAT, "a": 1}
    assert file.read(tmp_path / "x") == ({"vmaild": file.FORMAT, "a": 1}, [b"[]\n"])


def test_a_writing_that_fails_leaves_the_file_that_was_there_and_nothing_beside_it(tmp_path: Path) -> None:
    def full_disk() -> Iterator[bytes]:
        yield b"[]\n"
        raise OSError(28, "No space left on device")

    file.write(tmp_path / "x", {"a": 1}, [b"[]\n"])
    with pytest.raises(OSError, match="No space left"):
        file.write(tmp_path / "x", {"a": 2}, full_disk())
    assert file.read(tmp_path / "x")[0]["a"] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_file_that_is_larger_than_any_of_ours_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write(tmp_path / "x", {}, [b"[]\n"])
    monkeypatch.setattr(file, "MAX_BYTES", (tmp_path / "x").stat().st_size - 1)
    with pytest.raises(ValueError, match="too large"):
        file.read(tmp_path / "x")


def test_a_header_of_many_brackets_is_none(tmp_path: Path) -> None:
    """With a right checksum, since whoever may write the file can make one."""
    body = b"[" * 100_000 + b"\n"
    (tmp_path / "x").write_bytes(
        body + b"blake2b " + hashlib.blake2b(body, digest_size=32).hexdigest().encode() + b"\n"
    )
    with pytest.raises(ValueError, match="no header"):
        file.read(tmp_path / "x")
