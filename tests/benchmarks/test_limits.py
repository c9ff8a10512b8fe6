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
    "text", ["p99>5", "p99>5%", "p98>5ms", "rate<5ms", "rate<5%", "temp>5s", "p99=5ms", "p99>-5ms", ""]
)
def test_what_is_no_limit_is_refused_and_the_forms_are_shown(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no limit: write p50, .* as in p99>5ms; rate, .*(?s:.*)wrong>0"):
        parse_limit(text)
