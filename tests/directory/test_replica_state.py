"""Servers that are not loaded yet, or behind: what is chosen, by the test's clock; and a provider with consumers."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.directory import sync_rig
from tests.directory.rig import until
from tests.feed.rig import Hearing, hearing
from tests.support.directory import account
from vmaild.demo.slapd import Slapd
from vmaild.demo.tree import BASE, SEARCH_BASE, tree
from vmaild.directory.failover import NEVER, Standing, choose
from vmaild.directory.replica_state import INTERVAL, LAG, SOON, ReplicaState, Seen
from vmaild.directory.sync_cookie import Cookie, Csn
from vmaild.lookup import NOT_FOUND, Entry, Search, Status

AFTER = 10.0


def state(number: int, sid: int = 0) -> Cookie:
    return Cookie([Csn(f"202601010000{number:02d}.000000", 0, sid, 0)])


def up(*, behind: bool = False, since: float = NEVER) -> Standing:
    return Standing(up=True, well_since=since, behind=behind)


@pytest.mark.parametrize(
    ("standings", "current", "chosen"),
    [
        ([up(), up()], None, 0),
        ([up(behind=True), up()], None, 1),
        ([up(behind=True), up()], 1, 1),
        ([up(), up()], 1, 0),
        ([up(behind=True), up()], 0, 1),
        ([up(behind=True), up(behind=True)], 1, 1),
        ([up(behind=True), Standing()], None, 0),
        ([up(behind=True), Standing()], 1, 0),
        ([Standing(), up(behind=True), up()], 0, 2),
        ([up(since=95.0), up(behind=True)], 1, 0),
        ([up(since=95.0), up()], 1, 1),
    ],
)
def test_a_server_that_is_behind_serves_only_when_no_other_does(standings: Any, current: Any, chosen: int) -> None:
    assert choose(standings, current, 100.0, AFTER) == chosen


def test_what_was_seen_is_known_for_the_time_of_a_lag() -> None:
    seen = Seen()
    for second in range(20):
        seen.add(state(second), float(second))
    assert seen.at(19.0) == state(19)
    assert seen.at(19.0 - LAG) == state(18)
    assert len(seen.states) <= LAG + 2
    assert state(17).is_behind(seen.at(19.0 - LAG))
    assert not state(18).is_behind(seen.at(19.0 - LAG))
    assert seen.at(0.0) == Cookie()


def test_the_states_of_several_servers_are_merged_by_server_id() -> None:
    seen = Seen()
    seen.add(state(5, sid=1), 1.0)
    seen.add(state(3, sid=2), 2.0)
    seen.add(state(4, sid=1), 3.0)
    assert seen.at(3.0) == state(5, sid=1).merged(state(3, sid=2))
    seen.forget(state(1, sid=1), 4.0)
    assert seen.at(4.0) == state(1, sid=1)


def test_what_a_server_had_when_it_was_first_read_counts_at_once() -> None:
    seen = Seen()
    seen.add_old(state(3))
    assert seen.at(-1000.0) == state(3)
    seen.add(state(4), 10.0)
    seen.add_old(state(9, sid=2))
    assert seen.at(9.0) == state(3).merged(state(9, sid=2))
    assert seen.at(10.0) == state(4).merged(state(9, sid=2))


class Server:
    """A connection to a server in state ``number``, whose answers take ``seconds`` of the test's clock."""

    def __init__(self, number: int, now: list[float], seconds: float = 0.0) -> None:
        self.number = number
        self.seconds = seconds
        self._now = now

    async def search(self, search: Search, end: float) -> list[Entry]:
        self._now[0] += self.seconds
        if search.base == "":
            return [Entry("", {"namingcontexts": (b"dc=x",)})]
        return [Entry("dc=x", {"contextcsn": tuple(str(csn).encode() for csn in state(self.number).csns.values())})]


async def states(now: list[float], *servers: Server) -> list[Any]:
    """What is known of each, read once."""
    seen = Seen()
    made = [ReplicaState("dc=x", seen, lambda: now[0]) for _ in servers]
    for one, server in zip(made, servers, strict=True):
        await one.check(server, 0.0)
    return made


async def test_a_server_that_lacks_something_is_read_more_often_and_is_behind_after_a_lag() -> None:
    now = [100.0]
    provider, consumer = Server(1, now), Server(1, now)
    one, other = await states(now, provider, consumer)
    now[0] += INTERVAL
    provider.number = 2
    assert (other.lacks, other.due, one.due) == (False, True, True)
    await other.check(consumer, 0.0)
    await one.check(provider, 0.0)
    began = now[0]
    while not other.behind:
        now[0] += SOON
        assert (other.lacks, other.due) == (True, True)
        await other.check(consumer, 0.0)
    assert now[0] - began == LAG
    consumer.number = 2
    now[0] += SOON
    await other.check(consumer, 0.0)
    now[0] += SOON
    assert (other.behind, other.lacks, other.due) == (False, False, False)


async def test_what_a_slow_server_answers_was_seen_when_it_came() -> None:
    """Not when it was asked for: another that was read in between would seem to be behind."""
    now = [100.0]
    slow, quick = Server(1, now), Server(1, now)
    one, other = await states(now, slow, quick)
    slow.seconds = 2 * LAG

    async def written_meanwhile(search: Search, end: float) -> list[Entry]:
        now[0] += 2 * LAG - 0.01
        await other.check(quick, 0.0)
        slow.number, slow.seconds = 2, 0.01
        return await Server.search(slow, search, end)

    slow.search = written_meanwhile
    await one.check(slow, 0.0)
    assert (other.lacks, other.behind) == (True, False)


# --- a provider and its consumers -----------------------------------------------------------------------------------


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[Slapd]:
    with Slapd(tmp_path / "provider", ldif=tree(), syncprov=True, config=["serverID 1"]) as running:
        yield running


def consumer(home: Path, provider: Slapd, rid: int) -> Slapd:
    return Slapd(
        home, syncprov=True, config=[f"serverID {rid}"],
        database=[
            f'syncrepl rid={rid:03d} provider={provider.uri} type=refreshAndPersist retry="1 +" searchbase="{BASE}"'
            f' bindmethod=simple binddn="{provider.root_dn}" credentials={provider.root_pw}',
            f"updateref {provider.uri}",
        ],
    )  # fmt: skip


async def loaded(site: Hearing, server: int) -> None:
    await until(lambda: site.pool._servers[server].standing.up, 15)


async def test_a_consumer_without_its_data_is_not_up_where_another_server_has_shown_a_state(
    provider: Slapd, tmp_path: Path
) -> None:
    empty = Slapd(tmp_path / "empty", ldif=tree())  # all entries are there, and no contextCSN
    with empty:
        async with hearing([provider.uri, empty.uri]) as site:
            await until(lambda: site.pool.seen.required and site.pool.current_uri == provider.uri)
            await asyncio.to_thread(provider.stop)
            reply = await site.find("never-asked@domain1.example")
            assert reply.status is Status.TEMPORARY
            await until(lambda: not site.pool.ready)
            assert (await site.find("user1@domain1.example")).status is Status.TEMPORARY


async def test_with_require_context_it_is_not_up_from_the_start(tmp_path: Path) -> None:
    with Slapd(tmp_path / "empty", ldif=tree()) as empty:
        async with hearing([empty.uri], wait="none", domains=False, require_context=True, timeout=0.5) as site:
            assert (await site.find("nobody@domain1.example")).status is Status.TEMPORARY
            assert not site.pool.ready


async def test_reads_never_go_back_in_time_across_failover_and_failback(provider: Slapd, tmp_path: Path) -> None:
    """A provider and two consumers, one of which lags: what was found stays found, whichever server answers."""
    with consumer(tmp_path / "one", provider, 2) as one, consumer(tmp_path / "two", provider, 3) as two:
        async with hearing([one.uri, two.uri, provider.uri], failback_after=0.5, timeout=2.0) as site:
            for server in range(3):
                await loaded(site, server)
            await until(lambda: site.pool.current_uri == one.uri)
            assert await site.find("new@domain1.example") == NOT_FOUND
            await asyncio.to_thread(two.stop)
            began = time.monotonic()
            await asyncio.to_thread(provider.add, account("new@domain1.example"))
            await site.seconds_until_changed("new@domain1.example", "virtual_mailbox_maps", NOT_FOUND, began)
            await asyncio.sleep(LAG + 1.5)  # what was seen is older than a lag
            # The consumer comes back with what it had, and cannot catch up.
            provider.suspend()
            await asyncio.to_thread(two.start)
            await loaded(site, 1)
            await asyncio.to_thread(one.stop)
            await until(lambda: site.pool.current_uri == two.uri and site.pool.behind)
            seen = []
            for _ in range(40):
                seen.append(await site.find("new@domain1.example"))
                site.freshness.age_all()
                await asyncio.sleep(0.05)
            assert NOT_FOUND not in seen, [reply.status for reply, _ in itertools.groupby(seen)]
            provider.resume()
            await asyncio.to_thread(one.start)
            await until(lambda: site.pool.current_uri == one.uri and not site.pool.behind, 15)
            assert (await site.find("new@domain1.example")).status is Status.FOUND
            assert await site.find(f"nobody@domain1.example,{SEARCH_BASE}") == NOT_FOUND


async def test_a_server_that_stays_behind_is_taken_as_it_is_after_replica_grace(
    provider: Slapd, tmp_path: Path
) -> None:
    with Slapd(tmp_path / "other", ldif=tree(), syncprov=True, config=["serverID 1"]) as other:
        await sync_rig.change(
            provider, f"o=domain2.example,{SEARCH_BASE}", "modify", "replace: description", "description: x"
        )
        uris = [provider.uri, other.uri]
        async with hearing(uris, replica_grace=1.0, timeout=1.0) as site:
            assert (await site.find("user1@domain1.example")).status is Status.FOUND
            await loaded(site, 1)
            await asyncio.sleep(LAG + 1.5)
            await asyncio.to_thread(provider.stop)
            await until(lambda: site.pool.behind, 15)
            await until(lambda: not site.pool.behind, 15)
            assert site.pool.current_uri == other.uri


async def test_a_server_that_is_behind_at_the_start_is_not_asked_while_another_is_not(
    provider: Slapd, tmp_path: Path
) -> None:
    """A consumer that was restored from an old backup stands first in ``uri``."""
    with Slapd(tmp_path / "old", ldif=tree(), syncprov=True, config=["serverID 1"]) as old:
        await asyncio.to_thread(provider.add, account("new@domain1.example"))
        for _ in range(5):
            async with hearing([old.uri, provider.uri], timeout=1.0) as site:
                assert (await site.find("new@domain1.example")).status is Status.FOUND
                assert site.pool.current_uri == provider.uri
                assert not site.pool.behind
