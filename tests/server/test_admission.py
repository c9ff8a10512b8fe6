"""Who may hold a connection, and who must give it up, by a fake clock and fake clients."""

from __future__ import annotations

import pytest

from vmaild.server.admission import (
    CLOSED_IN_A_TURN,
    LEAST_IDLE,
    READ_SECONDS,
    REQUEST_SECONDS,
    SCAN_INTERVAL,
    Admission,
    Patience,
)
from vmaild.server.counters import ServerCounters


class Client:
    def __init__(self, used_at: float = 0.0, in_flight: int = 0) -> None:
        self.used_at = used_at
        self.in_flight = in_flight
        self.closed = False

    def abort(self) -> None:
        self.closed = True


class House:
    """Clients that have gone as soon as they are closed and ``turn`` is called."""

    def __init__(self, *clients: Client, limit: int | None = None) -> None:
        self.clients = set(clients)
        self.freed = 0
        self.counters = ServerCounters()
        self.admission = Admission(self.clients, limit or len(clients), self.counters, freed=self._free)

    def _free(self) -> None:
        self.freed += 1

    def turn(self) -> None:
        for client in [client for client in self.clients if client.closed]:
            self.clients.discard(client)
            self.admission.left(client)


def test_who_is_on_the_way_in_has_a_place_already() -> None:
    house = House(Client(), limit=3)
    assert house.admission.has_room
    house.admission.coming(2)
    assert not house.admission.has_room
    house.admission.coming(-1)
    assert house.admission.has_room


def test_the_client_that_has_been_idle_longest_goes_one_at_a_time() -> None:
    clients = [Client(used_at=at) for at in (5.0, 3.0, 9.0, 4.0)]
    house = House(*clients)
    gone = []
    for _ in range(3):
        house.admission.make_room(20.0)
        house.admission.make_room(20.0)
        gone += [client.used_at for client in house.clients if client.closed]
        house.turn()
    assert gone == [3.0, 4.0, 5.0]
    assert house.freed == house.counters.closed_for_room == 3


def test_a_lookup_in_flight_keeps_a_place_for_ever() -> None:
    busy, idle = Client(used_at=0.0, in_flight=1), Client(used_at=90.0)
    house = House(busy, idle)
    house.admission.make_room(100.0)
    assert (busy.closed, idle.closed) == (False, True)


def test_a_client_that_was_of_use_a_moment_ago_keeps_its_place() -> None:
    client = Client(used_at=10.0)
    house = House(client)
    house.admission.make_room(10.0 + LEAST_IDLE - 0.01)
    assert not client.closed
    house.admission.make_room(10.0 + LEAST_IDLE + SCAN_INTERVAL)
    assert client.closed


def test_who_asked_or_was_closed_since_the_search_is_passed_over() -> None:
    clients = [Client(used_at=float(at)) for at in range(4)]
    house = House(*clients)
    house.admission.make_room(100.0)
    house.turn()
    clients[1].used_at = 100.0
    clients[2].in_flight = 1
    house.admission.make_room(100.0)
    assert [client.closed for client in clients] == [True, False, False, True]


def test_a_client_that_drips_is_as_old_as_its_incomplete_request() -> None:
    dripping, idle = Client(used_at=2.0), Client(used_at=5.0)
    house = House(dripping, idle)
    house.admission.patience.settled(dripping, 2.0, incomplete=True, not_reading=False)
    dripping.used_at = 20.0
    house.admission.patience.settled(dripping, 20.0, incomplete=True, not_reading=False)
    house.admission.make_room(20.0)
    assert dripping.closed


@pytest.mark.parametrize(
    ("what", "seconds"),
    [
        ({"incomplete": True, "not_reading": False}, REQUEST_SECONDS),
        ({"incomplete": False, "not_reading": True}, READ_SECONDS),
        ({"incomplete": True, "not_reading": True}, REQUEST_SECONDS),
    ],
)
def test_a_slow_client_has_its_time_and_no_more(what: dict[str, bool], seconds: float) -> None:
    patience, client = Patience(), Client()
    patience.settled(client, 100.0, **what)
    patience.settled(client, 105.0, **what)
    assert patience.expired(100.0 + seconds - 0.01) == []
    assert patience.expired(100.0 + seconds) == [client]
    assert patience.expired(1000.0) == []
    assert patience.since(client) is None


def test_a_whole_request_and_a_reader_that_goes_on_set_the_time_back() -> None:
    patience, client = Patience(), Client()
    patience.settled(client, 0.0, incomplete=True, not_reading=True)
    patience.whole(client)
    patience.settled(client, 9.0, incomplete=True, not_reading=False)
    assert patience.expired(18.9) == []
    assert patience.expired(19.0) == [client]


def test_many_slow_clients_are_closed_a_few_in_each_turn() -> None:
    clients = [Client() for _ in range(CLOSED_IN_A_TURN + 10)]
    house = House(*clients)
    for client in clients:
        house.admission.patience.settled(client, 0.0, incomplete=True, not_reading=True)
    house.admission.close_slow(100.0)
    assert sum(client.closed for client in clients) == CLOSED_IN_A_TURN
    house.turn()
    house.admission.close_slow(100.0)
    assert all(client.closed for client in clients)
    assert house.counters.slow_closed == len(clients)


def test_a_client_that_has_gone_is_not_closed_again() -> None:
    client = Client()
    house = House(client)
    house.admission.patience.settled(client, 0.0, incomplete=True, not_reading=True)
    house.admission.left(client)
    house.admission.close_slow(1000.0)
    assert not client.closed
    assert house.counters.slow_closed == 0
