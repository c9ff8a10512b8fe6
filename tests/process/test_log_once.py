"""A complaint that comes again and again is in the log now and then, and each one that is new at once."""

from __future__ import annotations

import logging

import pytest

from vmaild.process.log_once import INTERVAL, REMEMBERED, LogOnce

logger = logging.getLogger("vmaild.test")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def texts(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_one_complaint_is_logged_once_in_the_interval(clock, caplog):
    once = LogOnce(logger, clock)
    for second in range(int(2 * INTERVAL)):
        clock.now = 1000.0 + second
        once.log(logging.WARNING, "entry a", f"second {second}")
    assert texts(caplog) == ["second 0", f"second {INTERVAL:.0f}"]


def test_the_interval_can_be_set(clock, caplog):
    once = LogOnce(logger, clock, 10.0)
    for clock.now in (1000.0, 1009.9, 1010.0):
        once.log(logging.WARNING, "a", f"{clock.now}")
    assert texts(caplog) == ["1000.0", "1010.0"]


def test_each_thing_is_complained_about_by_itself_and_at_its_level(clock, caplog):
    once = LogOnce(logger, clock)
    once.log(logging.WARNING, "a", "first")
    once.log(logging.ERROR, "b", "second")
    once.log(logging.ERROR, "a", "the first again, in other words")
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "first"),
        ("ERROR", "second"),
    ]


def test_a_percent_sign_in_a_complaint_is_text(clock, caplog):
    LogOnce(logger, clock).log(logging.WARNING, "a", "key 100%s %d")
    assert texts(caplog) == ["key 100%s %d"]


def test_what_is_remembered_is_bounded(clock):
    once = LogOnce(logger, clock)
    for number in range(3 * REMEMBERED):
        once.log(logging.DEBUG, f"{number}", "text")
    assert len(once._logged) == REMEMBERED
