"""Which keys the benchmark asks for."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import TypedDict, Unpack

import pytest

from benchmarks.load.questions import Question, Questions

HOT = [b"hot%d@example.com" % number for number in range(100)]
COLD = [b"cold%d@example.com" % number for number in range(100)]


class Mix(TypedDict, total=False):
    unknown: float
    cold: float
    zipf: float


def question(key: bytes) -> Question:
    return Question(b"wire", key)


def stream(seed: int = 7, **mix: Unpack[Mix]) -> Questions:
    return Questions(HOT + COLD, question, hot=len(HOT), seed=seed, **mix)


def take(count: int, questions: Questions) -> list[bytes]:
    return [question.key for question in islice(questions, count)]


MIXES: list[Mix] = [{}, {"zipf": 1.1}, {"unknown": 0.2, "cold": 0.3}, {"unknown": 0.1, "cold": 0.1, "zipf": 0.9}]


@pytest.mark.parametrize("mix", MIXES, ids=str)
def test_the_same_seed_asks_the_same_keys(mix: Mix) -> None:
    assert take(500, stream(**mix)) == take(500, stream(**mix))


@pytest.mark.parametrize("mix", MIXES, ids=str)
def test_another_seed_asks_other_keys(mix: Mix) -> None:
    assert take(500, stream(7, **mix)) != take(500, stream(8, **mix))


def test_uniform_keys_are_asked_equally_often() -> None:
    counts = Counter(take(20_000, stream()))
    assert len(counts) == len(HOT)
    assert max(counts.values()) < 2 * min(counts.values())


def test_zipf_keys_follow_the_law() -> None:
    counts = [count for _, count in Counter(take(50_000, stream(zipf=1.0))).most_common()]
    # The second is asked half as often as the first, the tenth a tenth as often.
    assert counts[0] / counts[1] == pytest.approx(2, rel=0.1)
    assert counts[0] / counts[9] == pytest.approx(10, rel=0.2)


def test_the_popular_keys_are_spread_over_the_file() -> None:
    popular = [key for key, _ in Counter(take(5000, stream(zipf=1.0))).most_common(10)]
    assert popular != HOT[:10]


def test_shares_of_unknown_and_cold_keys_are_kept() -> None:
    keys = take(10_000, stream(unknown=0.2, cold=0.005))
    unknown = [key for key in keys if key.startswith(b"no-such-user")]
    cold = [key for key in keys if key.startswith(b"cold")]
    assert len(unknown) == pytest.approx(2000, rel=0.1)
    assert len(cold) == pytest.approx(50, rel=0.5)


def test_no_unknown_key_and_no_cold_key_is_asked_twice() -> None:
    keys = stream(unknown=0.5, cold=0.5)
    asked = take(150, keys)
    assert len(set(asked)) == len(asked)
    assert keys.reused == 0


def test_cold_keys_that_run_out_are_counted() -> None:
    keys = Questions(COLD, question, cold=1.0)
    assert take(130, keys)[100:] == COLD[:30]
    assert keys.reused == 30


def test_unknown_keys_are_in_the_domains_of_known_ones() -> None:
    keys = Questions([b"a@one.example", b"b@two.example"], question, unknown=1)
    assert [key.partition(b"@")[2] for key in take(3, keys)] == [b"one.example", b"two.example", b"one.example"]


@pytest.mark.parametrize(
    ("unknown", "cold", "hot", "expected"),
    [(0, 0, 0, 4), (0, 0, 3, 3), (0, 0.5, 0, 2), (0, 0.5, 3, 3), (0, 1.0, 0, 0), (0.5, 0.5, 0, 0)],
)
def test_keys_are_split_into_hot_and_cold(unknown: float, cold: float, hot: int, expected: int) -> None:
    questions = Questions(HOT[:4], question, unknown=unknown, cold=cold, hot=hot)
    assert [each.key for each in questions.hot] == HOT[:expected]


@pytest.mark.parametrize("mix", [{"unknown": -0.1}, {"unknown": 0.6, "cold": 0.5}, {"cold": 1.1}, {"zipf": -1}])
def test_impossible_shares_are_refused(mix: Mix) -> None:
    with pytest.raises(ValueError, match="shares"):
        stream(**mix)


def test_a_stream_without_the_keys_that_it_needs_is_refused() -> None:
    with pytest.raises(ValueError, match="no keys"):
        Questions([], question)
    with pytest.raises(ValueError, match="no cold keys"):
        Questions(HOT, question, cold=0.5, hot=len(HOT))
