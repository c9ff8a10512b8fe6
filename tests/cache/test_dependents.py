"""Which records depend on what: against a dict that says the same."""

from __future__ import annotations

import random
import uuid
from zlib import crc32

import pytest

from vmaild.cache.dependents import (
    CROWD,
    FIRST_SIZE,
    IN_CROWD,
    PLACE,
    Dependents,
    digest_of,
    entry_parts,
    of_address,
    of_domain,
    of_entry,
    of_name,
)
from vmaild.directory import UuidSet

ENTRY = of_entry(uuid.UUID(int=7).bytes)


def test_what_depends_on_an_entry_is_told_once() -> None:
    dependents = Dependents(lambda key: True)
    dependents.add(ENTRY, b"one", 1)
    dependents.add(ENTRY, b"two", 1)
    assert dependents.has(ENTRY)
    assert sorted(dependents.take(ENTRY)) == [b"one", b"two"]
    assert not dependents.has(ENTRY)
    assert dependents.take(ENTRY) == []


def test_who_has_seen_what_is_there_now_is_left_alone() -> None:
    dependents = Dependents(lambda key: True)
    dependents.add(ENTRY, b"old", 1)
    dependents.add(ENTRY, b"new", 2)
    assert dependents.take(ENTRY, 2) == [b"old"]
    assert dependents.has(ENTRY)
    assert dependents.take(ENTRY, 3) == [b"new"]


def test_a_key_that_is_added_again_has_its_newest_digest() -> None:
    dependents = Dependents(lambda key: True)
    dependents.add(ENTRY, b"one", 1)
    dependents.add(ENTRY, b"one", 2)
    assert dependents.take(ENTRY, 2) == []
    assert dependents.take(ENTRY, 1) == [b"one"]


@pytest.mark.parametrize("digest", [2, 3])
def test_a_crowd_that_saw_different_states_is_told_of_any_change(digest: int) -> None:
    dependents = Dependents(lambda key: True)
    keys = [b"%d" % number for number in range(5 * CROWD)]
    for number, key in enumerate(keys):
        dependents.add(ENTRY, key, 1 if number == 3 else 2)
    assert sorted(dependents.take(ENTRY, digest)) == sorted(keys)


def test_a_crowd_that_saw_one_state_is_left_alone_while_it_is_there() -> None:
    dependents = Dependents(lambda key: True)
    for number in range(5 * CROWD):
        dependents.add(ENTRY, b"%d" % number, 2)
    assert dependents.take(ENTRY, 2) == []
    assert len(dependents.take(ENTRY, 1)) == 5 * CROWD


@pytest.mark.slow
def test_records_that_have_gone_do_not_stay_for_ever() -> None:
    alive: set[bytes] = set()
    dependents = Dependents(alive.__contains__)
    for number in range(100_000):
        key = b"%d" % number
        alive.add(key)
        dependents.add(of_address(str(number)), key)
        dependents.add(of_domain("d.example"), key)
        alive.discard(b"%d" % (number - 100))
    assert len(dependents) < 30_000, "a few places in each table"


def test_random_dependences_are_those_of_a_dict() -> None:
    rng = random.Random(1)
    tokens = [of_address(str(number)) for number in range(300)] + [of_entry(rng.randbytes(16)) for _ in range(300)]
    dependents, model = Dependents(lambda key: True), {}  # type: ignore[var-annotated]
    for _ in range(50_000):
        token = rng.choice(tokens[: rng.choice((3, 600))])
        if rng.random() < 0.97:
            key, digest = b"%d" % rng.randrange(40), rng.randrange(2)
            dependents.add(token, key, digest)
            model.setdefault(token, {})[key] = digest
        else:
            digest = rng.randrange(3)
            wanted = {key for key, seen in model.get(token, {}).items() if seen != digest}
            taken = dependents.take(token, digest)
            assert wanted <= set(taken) <= set(model.get(token, ()))
            for key in taken:
                del model[token][key]
    assert {token for token in tokens if dependents.has(token)} == {token for token, keys in model.items() if keys}
    assert set(dependents.entries()) == {token for token, keys in model.items() if keys and token >> 63}


def test_an_entry_is_found_again_among_those_that_are_there() -> None:
    rng = random.Random(2)
    uuids = [rng.randbytes(16) for _ in range(20_000)]
    there = UuidSet()
    for one in uuids[::2]:
        there.add(one)

    def is_there(token: int) -> bool:
        crc, part = entry_parts(token)
        return any(of_entry(one) == token for one in there.with_part(crc, part, 1))

    assert [is_there(of_entry(one)) for one in uuids[:2000]] == [True, False] * 1000


def test_the_digest_is_of_name_and_values_whatever_their_order() -> None:
    one = {"mail": (b"a@d.example",), "mailbox": (b"d.example/a/",)}
    assert digest_of("x", one) == digest_of("x", dict(reversed(one.items())))
    assert digest_of("x", one) != digest_of("y", one)
    assert digest_of("x", one) != digest_of("x", {**one, "mailbox": (b"d.example/b/",)})
    assert of_name((("cn", "x"),)) != of_address("x")


def test_what_is_left_in_crowds_of_records_that_have_gone_is_looked_through_a_few_at_a_time() -> None:
    living: set[bytes] = set()
    dependents = Dependents(living.__contains__)
    for number in range(20_000):
        key = b"%d" % number
        living.add(key)
        dependents.add(of_domain(f"d{number // 100}.example"), key)
        living.discard(b"%d" % (number - 500))
        if number % 64 == 0:
            dependents.tidy(3 * len(living))
        assert dependents.size < 4 * 500 * (IN_CROWD + PLACE) + FIRST_SIZE * PLACE * 200
    assert len(dependents) < 8 * 500
    assert sorted(dependents.take(of_domain("d199.example"))) == sorted(b"%d" % n for n in range(19_900, 20_000))


def test_entries_that_were_loaded_together_are_told_apart_though_their_crc_is_the_same() -> None:
    """slapd's UUIDs of one load: time_low and the clock's sequence vary. A million have a hundred pairs of one CRC."""
    rng = random.Random(1)
    by_crc: dict[int, bytes] = {}
    pairs = []
    for _ in range(300_000):
        one = rng.randbytes(4) + bytes.fromhex("7d981041") + rng.randbytes(2) + b"server"
        other = by_crc.setdefault(crc32(one), one)
        if other is not one:
            pairs.append((one, other))

    assert pairs
    assert [pair for pair in pairs if of_entry(pair[0]) == of_entry(pair[1])] == []


def test_how_many_there_are_counts_those_in_crowds_and_alone() -> None:
    dependents = Dependents(lambda key: True)
    for number in range(5 * CROWD):
        dependents.add(ENTRY, b"%d" % number, 1)
    for number in range(3 * CROWD):
        dependents.add(of_entry(uuid.UUID(int=8).bytes), b"%d" % number, 1)
    dependents.add(of_entry(uuid.UUID(int=9).bytes), b"alone", 1)
    before = len(dependents)
    assert 8 * CROWD + 1 <= before <= 10 * CROWD + 1, "where one stood before its crowd was made may still be counted"
    dependents.take(ENTRY)
    assert before - len(dependents) == 5 * CROWD
