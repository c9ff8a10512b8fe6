"""Members of one lookup are searched for a few at a time, however many there are."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from vmaild.errors import DirectoryFailure
from vmaild.maps.side_by_side import AT_ONCE, SideBySide


class FakeMembers:
    """Of which one after the other is asked for."""

    def __init__(self, count: int) -> None:
        self.left = list(range(count))
        self.unknown = count
        self.search: object | None = object()

    def ask_again(self) -> None:
        """Nothing was asked for."""

    def ask(self) -> tuple[str, object] | None:
        return (f"cn={self.left.pop()}", object()) if self.left else None

    def receive(self, member: str, entries: object) -> None:
        self.unknown -= 1
        if not self.unknown:
            self.search = None


def begun(count: int) -> tuple[list[Any], list[object]]:
    """What is in flight, each a function that ends it, and what was told in the end."""
    in_flight: list[Any] = []
    told: list[object] = []
    SideBySide(FakeMembers(count), lambda search, end, done: in_flight.append(done), 9.0, told.append).start()
    return in_flight, told


def test_never_more_than_a_few_are_in_flight_and_each_that_ends_makes_room_for_one() -> None:
    in_flight, told = begun(10)
    for number in range(10):
        assert len(in_flight) == min(AT_ONCE, 10 - number)
        assert told == []
        in_flight.pop(0)(SimpleNamespace(origin=f"server {number % 2}", entries=[]))
    assert told == [{"server 0", "server 1"}]


def test_the_first_failure_ends_it_once_and_begins_nothing() -> None:
    in_flight, told = begun(10)
    failure = DirectoryFailure("down", "down")
    for _ in range(AT_ONCE):
        in_flight.pop(0)(failure)
    assert (told, in_flight) == ([failure], [])
