"""Which searches a change overtook."""

from __future__ import annotations

from vmaild.maps.recent_changes import MOST, RecentChanges

ENTRY, ADDRESS = 1, 2


def test_a_search_that_began_before_a_change_is_overtaken_unless_it_saw_it() -> None:
    changes = RecentChanges(6.0)
    changes.begin(10.0)
    changes.add(ENTRY, 7)
    assert changes.overtook(9.0, {ENTRY: 6})
    assert changes.overtook(10.0, {ENTRY: 6})
    assert not changes.overtook(10.1, {ENTRY: 6})
    assert not changes.overtook(9.0, {ENTRY: 7})
    assert not changes.overtook(9.0, {ADDRESS: 0})


def test_an_address_that_two_entries_named_lately_is_overtaken_whatever_was_seen() -> None:
    changes = RecentChanges(6.0)
    changes.begin(10.0)
    changes.add_named(ADDRESS, 7)
    assert not changes.overtook(9.0, {ADDRESS: 0, ENTRY: 7})
    changes.begin(11.0)
    changes.add_named(ADDRESS, 8)
    assert changes.overtook(9.0, {ADDRESS: 0, ENTRY: 8})


def test_changes_are_remembered_for_as_long_as_a_search_may_take() -> None:
    changes = RecentChanges(6.0)
    for second in range(100):
        changes.begin(float(second))
        changes.add(second, 1)
    assert all(changes.overtook(second - 0.5, {second: 0}) for second in range(94, 100))
    assert len(changes._now) + len(changes._before) <= 14


def test_of_more_changes_than_are_remembered_every_earlier_search_is_overtaken() -> None:
    changes = RecentChanges(6.0)
    for number in range(4 * MOST):
        changes.begin(10.0 + number / 1_000_000)
        changes.add(number, 1)
    assert len(changes._now) + len(changes._before) <= 2 * MOST + 2
    assert changes.overtook(9.0, {-5: 0})
    assert not changes.overtook(11.0, {-5: 0})
