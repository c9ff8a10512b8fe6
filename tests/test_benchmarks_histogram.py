"""The benchmark's histogram against percentiles worked out from the values themselves."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.histogram import LARGEST, SUB_BITS, Histogram, bucket, upper

LATENCIES = st.integers(min_value=0, max_value=LARGEST)
PERCENTS = st.sampled_from([0.0, 1.0, 50.0, 90.0, 99.0, 99.9, 100.0])


def nearest_rank(values: list[int], percent: float) -> int:
    rank = max(1, math.ceil(len(values) * round(percent * 1000) / 100_000))
    return sorted(values)[rank - 1]


@given(st.lists(LATENCIES, min_size=1), PERCENTS)
def test_a_percentile_is_never_below_the_true_one_and_less_than_one_percent_above(
    values: list[int], percent: float
) -> None:
    exact = nearest_rank(values, percent)
    measured = Histogram(values).percentile(percent)
    assert exact <= measured <= exact + exact / 2**SUB_BITS


@given(LATENCIES)
def test_a_bucket_holds_its_value_and_ends_where_the_next_one_begins(value: int) -> None:
    index = bucket(value)
    assert value <= upper(index)
    assert bucket(upper(index)) == index
    if upper(index) < LARGEST:
        assert bucket(upper(index) + 1) == index + 1


@given(st.lists(LATENCIES), st.lists(LATENCIES))
def test_merged_histograms_say_what_one_would_have_said(left: list[int], right: list[int]) -> None:
    merged = Histogram(left)
    merged.merge(Histogram(right))
    assert merged.summary() == Histogram([*left, *right]).summary()


def test_the_largest_value_is_exact() -> None:
    histogram = Histogram([1_000_001, 5])
    assert histogram.percentile(100) == 1_000_001
    assert histogram.summary()["max"] == 1.000001


def test_a_percentile_of_1000_values_is_the_one_of_its_rank() -> None:
    # 99.9 / 100 * 1000 is above 999 in floating point, and would name the 1000th.
    histogram = Histogram([10] * 999 + [100])
    assert histogram.percentile(99.9) == 10


def test_longer_latencies_than_the_largest_bucket_are_counted_in_it() -> None:
    histogram = Histogram([LARGEST * 4])
    assert histogram.count == 1
    assert histogram.percentile(50) == LARGEST


def test_without_values_everything_is_zero() -> None:
    assert Histogram().percentile(99) == 0
    assert Histogram().mean == 0


def test_there_is_no_percentile_101() -> None:
    with pytest.raises(ValueError, match="101"):
        Histogram([1]).percentile(101)
