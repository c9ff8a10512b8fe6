"""One line a minute for a complaint, by what it is about."""

from __future__ import annotations

import logging

import pytest

from vmaild.process import LogOnce

logger = logging.getLogger("vmaild.test")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_complaint_is_logged_once_in_its_interval_and_then_with_its_number(
    caplog: pytest.LogCaptureFixture, clock: Clock
) -> None:
    once = LogOnce(logger, clock)
    assert once.log(logging.ERROR, ("unsafe", "dn"), "first")
    for n in range(5):
        clock.now += 10
        assert not once.log(logging.ERROR, ("unsafe", "dn"), f"key {n}")
    clock.now += 10
    assert once.log(logging.ERROR, ("unsafe", "dn"), "second")
    assert caplog.messages == ["first", "second (5 more like it since the last such line)"]
    assert caplog.records[0].levelname == "ERROR"
    assert once.suppressed == 5


def test_complaints_about_different_things_are_kept_apart(caplog: pytest.LogCaptureFixture, clock: Clock) -> None:
    once = LogOnce(logger, clock)
    for kind in ("unsafe", "missing"):
        for entry in ("a", "b"):
            assert once.log(logging.WARNING, (kind, entry), f"{kind} {entry}")
    assert len(caplog.messages) == 4


def test_a_flood_of_different_complaints_is_bounded_in_lines_and_memory(
    caplog: pytest.LogCaptureFixture, clock: Clock
) -> None:
    once = LogOnce(logger, clock, max_remembered=3)
    assert [once.log(logging.WARNING, n, str(n)) for n in range(10)] == [True] * 3 + [False] * 7
    clock.now += 60
    assert once.log(logging.WARNING, 9, "9")
    assert caplog.messages[-1] == "9 (7 other complaints were not logged: there are too many different ones)"
    assert len(once._known) == 3


def test_text_with_percent_signs_is_text(caplog: pytest.LogCaptureFixture, clock: Clock) -> None:
    LogOnce(logger, clock).log(logging.WARNING, 1, "100%s")
    assert caplog.messages == ["100%s"]
