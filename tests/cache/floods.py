"""Floods against one cache: ``python -m tests.cache.floods [MIB] KIND ...`` has them one after the other.

Prints for each the most resident memory, in bytes beyond what the process had before; then what is left after a flush.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from vmaild.cache import Answer, Cache, CacheSettings, ResidentBound
from vmaild.errors import DataError
from vmaild.lookup import NODATA, NOT_FOUND, Status, found
from vmaild.process import GcTuning, resident_memory
from vmaild.server.recent import Recent
from vmaild.wire import socketmap

MIB = 1024 * 1024
SIZE = 64 * MIB

Flood = Callable[[Cache, Recent, int], object]


class Evidence:
    """A lookup that goes on, as far as the cache knows it."""

    def __init__(self, size: int) -> None:
        self.weight = size
        self.entries = b"x" * size


def long_keys(cache: Cache, recent: Recent, n: int) -> object:
    return cache.store(b"0 " + b"%d" % n * 900 + b"@d.example", [NOT_FOUND, NOT_FOUND], None)


def short_keys(cache: Cache, recent: Recent, n: int) -> object:
    return cache.store(b"0 %d@d.example" % n, [NOT_FOUND, NOT_FOUND], None)


def addresses(cache: Cache, recent: Recent, n: int) -> object:
    return cache.store(b"0 %d@d.example" % n, [b"d.example/%d/" % n, NODATA], None)


def some_asked_again(cache: Cache, recent: Recent, n: int) -> object:
    """They stay, spread over the room of all that went."""
    record = cache.store(b"0 %d@d.example" % n, [b"d.example/%d/" % n, NODATA], None)
    if n % 50 == 0:
        record.asked_by(0)
    return record


def a_long_catch_all(cache: Cache, recent: Recent, n: int) -> object:
    return cache.store(b"0 %d@d.example" % n, [b"a@b.example," * 8000, NODATA], None, derived=True)


def long_aliases(cache: Cache, recent: Recent, n: int) -> object:
    return cache.store(b"0 %d@d.example" % n, [b"%d@b.example," % n * 6000, NODATA], None)


def refusals(cache: Cache, recent: Recent, n: int) -> object:
    text = " and ".join(f"mail={n}@d.example,o=d.example,dc=x {number}" for number in range(100))
    return cache.store(b"0 %d@d.example" % n, [DataError(text), NODATA], None)


def evidence(cache: Cache, recent: Recent, n: int) -> object:
    return cache.store(b"0 %d@d.example" % n, [None, NODATA], Evidence(50_000))


def remembered(cache: Cache, recent: Recent, n: int) -> object:
    """Requests by the hot path, of records that soon make room: each has a short answer and a long one."""
    record = cache.store(b"0 %d@d.example" % n, [NODATA, b"%d@b.example," % n * 3000], None)
    answer = Answer(record, socketmap.encode_reply(found(b"x")), cache.tally("map", Status.FOUND, stale=False))
    recent.remember(b"43:virtual_mailbox_maps %08d@domain.example," % n, answer)
    return record


FLOODS: dict[str, tuple[Flood, int]] = {
    flood.__name__: (flood, count)
    for flood, count in (
        (long_keys, 40_000),
        (short_keys, 400_000),
        (addresses, 400_000),
        (some_asked_again, 400_000),
        (a_long_catch_all, 120_000),
        (long_aliases, 10_000),
        (refusals, 20_000),
        (evidence, 20_000),
        (remembered, 20_000),
    )
}
"""With how many steps each would take a multiple of ``SIZE``."""


def main(kinds: list[str]) -> None:
    size = int(kinds.pop(0)) * MIB if kinds[0].isdigit() else SIZE
    cache = Cache(CacheSettings(max_size=size, max_entries=10_000_000, max_negative_entries=10_000_000))
    recent = Recent(cache.max_requests_size)
    tuning = GcTuning(lambda: cache.counters.stored, lambda: cache.freed)
    cache.on_forget = recent.clear
    tuning.start()
    bound = ResidentBound(
        cache, resident_memory, beside=lambda: recent.size, forget=recent.clear, give_back=tuning.tick
    )
    cache.on_growth(bound.grown)
    before = resident_memory()
    for kind in kinds:
        flood, count = FLOODS[kind]
        most = 0
        for n in range(count * size // SIZE):
            flood(cache, recent, n)
            if n % 500 == 0:
                tuning.tick()
                bound.check()
                most = max(most, resident_memory())
        assert sum(cache.sizes.values()) <= size
        print(most - before)
    cache.forget_all()
    tuning.tick()
    print(resident_memory() - before)


if __name__ == "__main__":
    main(sys.argv[1:])
