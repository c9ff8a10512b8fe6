"""How long a search takes, as it is measured."""

from __future__ import annotations

import pytest

from vmaild.directory.service_time import ServiceTime


def after(*seconds: float) -> ServiceTime:
    time = ServiceTime()
    for one in seconds:
        time.observe(one)
    return time


def test_nothing_is_known_at_first() -> None:
    assert ServiceTime().seconds == 0.0


def test_steady_times_are_told_nearly_as_they_are() -> None:
    assert after(*[0.3] * 40).seconds == pytest.approx(0.3, abs=0.01)


def test_it_follows_a_server_that_becomes_slow_and_one_that_becomes_fast_again() -> None:
    time = after(*[0.001] * 40)
    for _ in range(10):
        time.observe(1.0)
    assert time.seconds > 0.9
    for _ in range(60):
        time.observe(0.001)
    assert time.seconds < 0.01


def test_times_that_vary_leave_room() -> None:
    time = after(*[0.1, 0.3] * 40)
    assert time.seconds > 0.3
