"""The limits of ``--fail-if``."""

from __future__ import annotations

import pytest

from benchmarks.load.tally import parse_limit

FIGURES = {"p99": 5.0, "p99.9": 8.0, "cpu": 0.02, "rate": 10_000.0, "temp": 5.0, "wrong": 0.0, "answers": 1000.0}


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("p99>5ms", False),
        ("p99>4.9ms", True),
        ("p99 > 4900us", True),
        ("p99.9>0.009s", False),
        ("p99<6ms", True),
        ("cpu>19us", True),
        ("cpu>21us", False),
        ("rate<10000", False),
        ("rate<10001", True),
        ("wrong>0", False),
        ("temp>4", True),
        ("temp>1%", False),
        ("temp>0.4%", True),
    ],
)
def test_a_limit_is_broken_or_not(text: str, broken: bool) -> None:
    assert parse_limit(text).broken(FIGURES) is broken


def test_a_figure_that_was_not_measured_breaks_its_limit() -> None:
    # --fail-if 'cpu>20us' without --pid must not pass unseen.
    assert parse_limit("cpu>20us").broken({"answers": 1})


def test_a_share_of_no_answers_is_none() -> None:
    assert not parse_limit("temp>1%").broken({"temp": 0, "answers": 0})


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("p99>5", "needs a unit"),
        ("p99>5%", "needs a unit"),
        ("p98>5ms", "unknown figure"),
        ("rate<5ms", "takes no unit"),
        ("rate<5%", "takes no unit"),
        ("p99=5ms", "is no limit"),
        ("p99>-5ms", "is no limit"),
        ("", "is no limit"),
    ],
)
def test_what_is_no_limit_is_refused_with_a_reason(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_limit(text)
