"""Polling, over a server that is not there: what is found, what is not, and when everything is aged."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from vmaild.directory import Cookie, Refused, SearchEntry, SyncSearch, at_least
from vmaild.errors import DirectoryFailure
from vmaild.feed.poll import DOUBT, LEAST_WAIT, MOST, SHARE, TOGETHER, Poll

UUID = b"0f0f0f0f-0f0f-1041-8613-559050440000"


def csn(number: int, sid: int = 1) -> bytes:
    return b"202601010000%02d.000000Z#000000#%03x#000000" % (number, sid)


class FakeFreshness:
    heard_attributes = ("entryuuid", "mail", "hassubordinates")

    def __init__(self) -> None:
        self.changes: list[str] = []
        self.created: list[bool] = []
        self.aged = 0

    def changed(self, name: Any, uuid: Any, attributes: Any, *, added: Any, created: Any) -> None:
        assert not {"entrycsn", "createtimestamp"} & attributes.keys()
        assert len(uuid) == 16
        self.created.append(created)
        self.changes.append(name)

    def age_all(self) -> None:
        self.aged += 1


class Server:
    def __init__(self) -> None:
        self.context = [csn(1)]
        self.written: list[SearchEntry] = []
        self.refused: Exception | None = None
        self.searches: list[SyncSearch] = []
        self.freshness = FakeFreshness()
        self.poll = Poll(self.freshness, self.read, self.find, "o=x", "dc=x", Cookie.of_context([csn(1)]))

    async def read(self, name: Any, attributes: Any) -> Any:
        assert (name, attributes) == ("dc=x", ("contextCSN",))
        return {"contextcsn": tuple(self.context)} if self.context else None

    async def find(self, search: SyncSearch) -> AsyncIterator[SearchEntry]:
        self.searches.append(search)
        for one in self.written:
            yield one
        if self.refused is not None:
            raise self.refused

    def once(self, now: float = 0.0) -> None:
        asyncio.run(self.poll.once(now))


def entry(name: str, stamp: bytes, *uuid: bytes) -> SearchEntry:
    attributes = {"entrycsn": (stamp,), "entryuuid": uuid or (UUID,), "mail": (b"a@d.example",)}
    return SearchEntry(1, name, attributes, None)


def test_while_nothing_moves_nothing_is_searched() -> None:
    server = Server()
    server.once()
    assert (server.searches, server.freshness.aged) == ([], 0)


def test_what_was_written_is_told() -> None:
    server = Server()
    server.context = [csn(2)]
    server.written = [entry("cn=a", csn(2)), entry("cn=b", csn(1))]
    server.once()
    assert server.freshness.changes == ["cn=a", "cn=b"]
    assert server.freshness.aged == 0
    assert server.searches[0].filter == at_least("entryCSN", csn(1))
    assert server.searches[0].size_limit == MOST
    server.once()
    assert len(server.searches) == 1


@pytest.mark.parametrize("written", [[], [entry("cn=a", csn(2))]], ids=["nothing found", "not the newest"])
def test_a_move_that_no_entry_explains_ages_everything(written: Any) -> None:
    server = Server()
    server.context = [csn(3)]
    server.written = written
    server.once()
    assert server.freshness.aged == 1


def test_too_many_entries_age_everything_and_those_that_came_are_told() -> None:
    server = Server()
    server.context = [csn(3)]
    server.written = [entry("cn=a", csn(2))]
    server.refused = Refused(4, "size limit exceeded")
    server.once()
    assert server.freshness.changes == ["cn=a"]
    assert server.freshness.aged == 1
    assert server.poll.last == Cookie.of_context([csn(3)])


@pytest.mark.parametrize("failure", [Refused(52, "unavailable"), ConnectionResetError()], ids=["refused", "broken"])
def test_another_failure_leaves_what_is_known_where_it_was(failure: Exception) -> None:
    server = Server()
    server.context = [csn(3)]
    server.refused = failure
    with pytest.raises(type(failure)):
        server.once()
    assert server.poll.last == Cookie.of_context([csn(1)])


def test_a_server_that_does_not_end_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vmaild.feed.poll.READ_SECONDS", 0.0)
    server = Server()

    async def find(search: Any) -> AsyncIterator[SearchEntry]:
        await asyncio.Event().wait()
        yield entry("cn=a", csn(2))

    server.poll._find = find
    server.context = [csn(2)]
    with pytest.raises(TimeoutError):
        server.once()
    assert server.poll.last == Cookie.of_context([csn(1)])


def test_a_server_id_that_is_new_ages_everything() -> None:
    server = Server()
    server.context = [csn(1), csn(1, sid=2)]
    server.once()
    assert server.freshness.aged == 1


def test_an_entry_without_its_uuid_ages_everything() -> None:
    server = Server()
    server.context = [csn(2)]
    server.written = [entry("cn=a", csn(2), b"nonsense")]
    server.once()
    assert server.freshness.aged == 1


def test_an_entry_that_is_too_long_to_be_read_ages_everything() -> None:
    server = Server()
    server.context = [csn(2)]
    server.written = [entry("cn=b", csn(2)), SearchEntry(1, "cn=a", None, None)]
    server.once()
    assert server.freshness.changes == ["cn=b"]
    assert server.freshness.aged == 1


def test_a_deletion_that_another_change_may_have_hidden_is_over_after_a_while() -> None:
    server = Server()
    server.context = [csn(2)]
    server.written = [entry("cn=a", csn(2))]
    server.once(0.0)
    server.once(DOUBT - 1)
    assert server.freshness.aged == 0
    server.once(DOUBT)
    assert server.freshness.aged == 1
    server.once(3 * DOUBT)
    assert server.freshness.aged == 1, "nothing has happened since"


def test_a_state_that_is_gone_is_a_failure() -> None:
    server = Server()
    server.context = []
    with pytest.raises(DirectoryFailure):
        server.once()


@pytest.mark.parametrize(
    ("stamp", "created"),
    [
        ((b"20260101000002Z",), True),
        ((b"20260101000001Z",), False),  # in the same second as what was heard last
        ((b"20250101000000Z",), False),
        ((b"nonsense",), False),
        ((), False),
    ],
)
def test_what_was_created_since_the_last_poll_is_told_as_such(stamp: tuple[bytes, ...], created: bool) -> None:
    server = Server()
    server.context = [csn(3)]
    one = entry("o=d.example,o=x", csn(3))
    server.written = [one._replace(attributes={**(one.attributes or {}), "createtimestamp": stamp})]
    server.once()
    assert server.freshness.created == [created]


def test_of_several_servers_the_latest_change_tells_what_was_created_since() -> None:
    """Their clocks differ: what one of them is ahead was told by its own CSN before."""
    server = Server()
    server.poll.last = Cookie.of_context([csn(1), csn(30, sid=2)])
    server.context = [csn(3), csn(30, sid=2)]
    one = entry("o=d.example,o=x", csn(3))
    server.written = [one._replace(attributes={**(one.attributes or {}), "createtimestamp": (b"20260101000029Z",)})]
    server.once()
    assert server.freshness.created == [False]


def counts_between_turns(server: Server, others: Callable[[], object] = lambda: None) -> list[int]:
    """How many entries were told at each turn of the others, while many are read."""
    server.context = [csn(2)]
    server.written = [entry(f"cn={number}", csn(2)) for number in range(3 * TOGETHER)]
    told: list[int] = []

    async def look() -> None:
        polling = asyncio.create_task(server.poll.once(0.0))
        while not polling.done():
            told.append(len(server.freshness.changes))
            others()
            await asyncio.sleep(0)

    asyncio.run(look())
    return told


def test_cached_answers_go_on_between_any_two_of_many_entries() -> None:
    ticks = itertools.count()
    server = Server()
    server.poll._clock = lambda: float(next(ticks))
    assert set(counts_between_turns(server)) == set(range(3 * TOGETHER + 1))


def test_where_the_turns_of_the_others_are_long_more_entries_are_told_in_each() -> None:
    now = 0.0

    def clock() -> float:
        nonlocal now
        now += 1.0
        return now

    def others() -> None:
        nonlocal now
        now += 5 / SHARE

    server = Server()
    server.poll._clock = clock
    told = counts_between_turns(server, others)
    assert max(after - before for before, after in itertools.pairwise(told)) == 6


@pytest.mark.parametrize(("reading", "wait"), [(0.0, 1.0), (0.75, 0.25), (5.0, LEAST_WAIT)])
def test_a_poll_that_reads_for_long_does_not_put_off_the_next(
    monkeypatch: pytest.MonkeyPatch, reading: float, wait: float
) -> None:
    """Seen in a bulk load: each poll found more than the last, for what was written while that was read."""
    server, waits, now = Server(), [], [100.0]

    async def once(began: float) -> None:
        assert began == now[0]
        now[0] += reading

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        now[0] += seconds
        if len(waits) == 2:
            raise ConnectionResetError

    server.poll._clock = lambda: now[0]
    monkeypatch.setattr(server.poll, "once", once)
    monkeypatch.setattr("vmaild.feed.poll.asyncio.sleep", sleep)
    with pytest.raises(ConnectionResetError):
        asyncio.run(server.poll.run())
    assert waits == [wait, wait]


def test_a_deletion_that_was_hidden_is_over_though_another_poll_goes_on() -> None:
    """Seen by reading: the address was answered for a day when the connection had broken in between."""
    server = Server()
    server.context = [csn(2)]
    server.written = [entry("cn=a", csn(2))]
    server.once(0.0)
    before = server.poll
    server.poll = Poll(server.freshness, server.read, server.find, "o=x", "dc=x", before.last, before.doubt_at)
    server.once(DOUBT)
    assert server.freshness.aged == 1
