"""A real daemon beside a directory that changes: its two maps of an address agree (``tests.maps.outside``)."""

from __future__ import annotations

from tests.maps.outside import run


def test_the_two_maps_of_an_address_never_contradict_each_other_while_the_directory_changes() -> None:
    result = run(5.0, rate=20.0, pace=2000.0, cache="[cache]\nttl = 2\nnegative_ttl = 1\n")
    assert (result.contradictions, result.denied) == (0, 0), result.examples
    assert result.answers > 1000
    assert result.changes > 20
