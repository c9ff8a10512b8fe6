"""Which keys the benchmark asks for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import islice

import pytest

from benchmarks.load.keys import KeyStream, Mix, split, unknown_key

HOT = [b"hot%d@example.com" % number for number in range(100)]
COLD = [b"cold%d@example.com" % number for number in range(100)]


def stream(mix: Mix, seed: int = 7, hot: list[bytes] = HOT, cold: list[bytes] = COLD) -> KeyStream[bytes]:
    return KeyStream(hot, cold, lambda number: unknown_key(HOT, number, seed), mix, seed)


def take(count: int, keys: KeyStream[bytes]) -> list[bytes]:
    following: Callable[[], bytes] = keys.next
    return [following() for _ in range(count)]


MIXES = [Mix(), Mix(zipf=1.1), Mix(unknown=0.2, cold=0.3), Mix(unknown=0.1, cold=0.1, zipf=0.9)]


@pytest.mark.parametrize("mix", MIXES, ids=str)
def test_the_same_seed_asks_the_same_keys(mix: Mix) -> None:
    assert take(500, stream(mix)) == take(500, stream(mix))


@pytest.mark.parametrize("mix", MIXES, ids=str)
def test_another_seed_asks_other_keys(mix: Mix) -> None:
    assert take(500, stream(mix, 7)) != take(500, stream(mix, 8))


def test_uniform_keys_are_asked_equally_often() -> None:
    counts = Counter(take(20_000, stream(Mix())))
    assert len(counts) == len(HOT)
    assert max(counts.values()) < 2 * min(counts.values())


def test_zipf_keys_follow_the_law() -> None:
    counts = [count for _, count in Counter(take(50_000, stream(Mix(zipf=1.0)))).most_common()]
    # The second is asked half as often as the first, the tenth a tenth as often.
    assert counts[0] / counts[1] == pytest.approx(2, rel=0.1)
    assert counts[0] / counts[9] == pytest.approx(10, rel=0.2)


def test_the_popular_keys_are_spread_over_the_file() -> None:
    popular = [key for key, _ in Counter(take(5000, stream(Mix(zipf=1.0)))).most_common(10)]
    assert popular != HOT[:10]


def test_shares_of_unknown_and_cold_keys_are_kept() -> None:
    keys = take(10_000, stream(Mix(unknown=0.2, cold=0.005)))
    unknown = [key for key in keys if key.startswith(b"no-such-user")]
    cold = [key for key in keys if key.startswith(b"cold")]
    assert len(unknown) == pytest.approx(2000, rel=0.1)
    assert len(cold) == pytest.approx(50, rel=0.5)


def test_no_unknown_key_and_no_cold_key_is_asked_twice() -> None:
    keys = stream(Mix(unknown=0.5, cold=0.5))
    asked = take(150, keys)
    assert len(set(asked)) == len(asked)
    assert keys.reused == 0


def test_cold_keys_that_run_out_are_counted() -> None:
    keys = stream(Mix(cold=1.0), hot=[], cold=COLD)
    assert take(130, keys)[100:] == COLD[:30]
    assert keys.reused == 30


def test_unknown_keys_are_in_the_domains_of_known_ones() -> None:
    assert unknown_key([b"a@one.example", b"b@two.example"], 3, 1).endswith(b"@two.example")


@pytest.mark.parametrize(
    ("mix", "hot", "expected"),
    [
        (Mix(), 0, (4, 0)),
        (Mix(), 3, (3, 0)),
        (Mix(cold=0.5), 0, (2, 2)),
        (Mix(cold=0.5), 3, (3, 1)),
        (Mix(cold=1.0), 0, (0, 4)),
        (Mix(cold=0.5, unknown=0.5), 0, (0, 4)),
    ],
)
def test_keys_are_split_into_hot_and_cold(mix: Mix, hot: int, expected: tuple[int, int]) -> None:
    parts = split(HOT[:4], mix, hot)
    assert tuple(len(part) for part in parts) == expected
    assert [*parts[0], *parts[1]] == HOT[: sum(expected)]


@pytest.mark.parametrize("shares", [(-0.1, 0.0), (0.6, 0.5), (0.0, 1.1)])
def test_impossible_shares_are_refused(shares: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="shares"):
        stream(Mix(*shares))


def test_a_stream_without_the_keys_that_it_needs_is_refused() -> None:
    with pytest.raises(ValueError, match="no keys"):
        stream(Mix(), hot=[])
    with pytest.raises(ValueError, match="no cold keys"):
        stream(Mix(cold=0.5), cold=[])


def test_a_stream_never_ends() -> None:
    assert len(list(islice(iter(stream(Mix()).next, None), 1000))) == 1000
