"""The client with fewest lookups goes first; where too many wait, the client with most loses one."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from vmaild.cache import CacheCounters
from vmaild.config.maps import Common, read_maps
from vmaild.config.section import Problems
from vmaild.errors import DirectoryFailure, Overloaded
from vmaild.lookup import Search
from vmaild.maps import Limits, MapCounters, Peer
from vmaild.maps.fair_queue import FairQueue
from vmaild.maps.flight import Flight, Flights, Waiter
from vmaild.maps.maps import Map

GROUP = read_maps("courier", {}, Common("o=x"), Problems("test")).groups[0]
DOMAINS = Map("virtual_mailbox_domains", GROUP, 0, b"0 ", MapCounters(), deque())
FOREVER = float("inf")


class Item:
    def __init__(self, peer: Peer, name: str) -> None:
        self.peer = peer
        self.name = name


def queue_of(names: str) -> tuple[FairQueue[Item], dict[str, Peer]]:
    """Items in this order; the letter of each is its peer."""
    queue: FairQueue[Item] = FairQueue()
    peers: dict[str, Peer] = {}
    for name in names.split():
        peer = peers.setdefault(name[0], Peer())
        queue.count(peer, 1)
        queue.push(Item(peer, name))
    return queue, peers


def order(queue: FairQueue[Item]) -> str:
    """In which order they go, each over before the next begins."""
    names = []
    while queue.size:
        item = queue.pop()
        names.append(item.name)
        queue.count(item.peer, -1)
    return " ".join(names)


def test_whoever_has_fewest_goes_first() -> None:
    assert order(queue_of("a1 a2 a3 a4 b1 c1 c2")[0]) == "b1 c1 c2 a1 a2 a3 a4"


def test_those_with_as_many_take_turns() -> None:
    queue, _ = queue_of("a1 a2 b1 b2")
    assert [queue.pop().name for _ in range(4)] == ["a1", "b1", "a2", "b2"]


def test_what_is_begun_counts_too() -> None:
    queue, peers = queue_of("a1 b1 b2")
    queue.count(peers["a"], 2)
    assert queue.pop().name == "b1"


def test_the_newest_of_whoever_has_most_is_the_one_to_lose() -> None:
    assert queue_of("a1 b1 b2 b3 a2")[0].newest().name == "b3"


def test_what_another_wants_too_becomes_the_others() -> None:
    queue, peers = queue_of("a1 a2 a3 b1")
    third = next(item for item in queue if item.name == "a3")
    other = Peer()
    queue.give(third, other)
    assert (peers["a"].count, other.count, third.peer) == (2, 1, other)
    assert order(queue) == "b1 a3 a1 a2"


class Directory:
    """Keeps what was begun until the test lets it end."""

    schema = None
    search_time = 0.0

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.done: list[Any] = []

    def begin(self, search: Search, end: float, done: Any) -> None:
        self.begun.append(search.base.partition(",")[0].removeprefix("o="))
        self.done.append(done)

    def end_first(self) -> None:
        self.done.pop(0)(DirectoryFailure("it is over"))


class Site:
    def __init__(self, **limits: int) -> None:
        self.directory = Directory()
        self.ended: list[Flight] = []
        self.flights = Flights(self.directory, self._landed, CacheCounters(), lambda: 0.0, 100, Limits(**limits))

    def _landed(self, flight: Flight) -> None:
        self.flights.remove(flight)
        self.ended.append(flight)

    def ask(self, key: str, peer: Peer, end: float = FOREVER) -> Flight:
        return self.flights.join(b"0 " + key.encode(), Waiter(DOMAINS, lambda reply: None, end, peer), None)

    @property
    def refused(self) -> list[str]:
        return [flight.key[2:].decode() for flight in self.ended if isinstance(flight.failure, Overloaded)]


async def test_no_more_are_begun_than_the_directory_has_connections_for() -> None:
    site, heavy, light = Site(begun=2), Peer(), Peer()
    for number in range(5):
        site.ask(f"h{number}", heavy)
    site.ask("l", light)
    await asyncio.sleep(0)
    assert site.directory.begun == ["h0", "h1"]
    site.directory.end_first()
    assert site.directory.begun == ["h0", "h1", "l"]
    for _ in range(3):
        site.directory.end_first()
    assert site.directory.begun == ["h0", "h1", "l", "h2", "h3", "h4"]


async def test_single_flight_holds_when_peers_share_a_key_and_the_lighter_one_does_not_wait_for_the_other() -> None:
    site, heavy, light = Site(begun=1), Peer(), Peer()
    for number in range(5):
        site.ask(f"h{number}", heavy)
    shared = site.ask("h4", light)
    assert len(shared.waiters) == 2
    site.directory.end_first()
    assert site.directory.begun == ["h0", "h4"]
    while site.directory.done:
        site.directory.end_first()
    assert sorted(site.directory.begun) == ["h0", "h1", "h2", "h3", "h4"]
    assert (heavy.count, light.count) == (0, 0)


async def test_past_the_bound_whoever_has_most_loses_the_newest() -> None:
    site, heavy, light = Site(begun=1, waiting=3), Peer(), Peer()
    for number in range(4):
        site.ask(f"h{number}", heavy)
    site.ask("l", light)
    assert site.refused == ["h3"]
    site.ask("h5", heavy)
    assert site.refused == ["h3", "h5"]
    assert site.flights.flight_counters.refused == 2


async def test_one_client_has_a_bound_of_its_own() -> None:
    site, heavy, light = Site(begun=1, of_a_client=3), Peer(), Peer()
    for number in range(5):
        site.ask(f"h{number}", heavy)
    site.ask("l", light)
    assert site.refused == ["h3", "h4"]
    assert site.flights.flight_counters.refused_of_a_client == 2
    assert heavy.count == 3


async def test_what_has_less_time_left_than_a_search_takes_is_not_begun() -> None:
    site, peer = Site(begun=1), Peer()
    now = asyncio.get_running_loop().time()
    site.ask("first", peer)
    site.ask("late", peer, now + 1.0)
    site.ask("in_time", peer, now + 60.0)
    site.directory.search_time = 2.0
    site.directory.end_first()
    assert site.directory.begun == ["first", "in_time"]
    assert site.refused == ["late"]
    assert site.flights.flight_counters.too_late == 1


async def test_a_directory_that_fails_at_once_ends_all_that_wait_and_the_loop_has_its_turn() -> None:
    site, peer = Site(begun=1), Peer()
    for number in range(50):
        site.ask(f"k{number}", peer)
    site.directory.begin = lambda search, end, done: done(DirectoryFailure("down"))
    site.directory.end_first()
    turns = 0
    while len(site.ended) < 50:
        await asyncio.sleep(0)
        turns += 1
    assert turns <= 50
    assert (peer.count, site.flights.count) == (0, 0)
