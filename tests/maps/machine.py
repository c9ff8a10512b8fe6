"""A random walk through ``tests.maps.world``: ``python -m tests.maps.machine --steps 1000000 --seed 1``."""

from __future__ import annotations

import argparse
import logging
import random
import sys
import time

from tests.maps.world import CHANGING, KEYS, MEMBERS, Counts, World

PAUSES = (0.0, 0.01, 0.3, 0.3, 1.0, 1.0, 2.0, 5.5, 28.0, 290.0, 1000.0)
FAILURES = ("unavailable", "broken", "timeout", "overloaded")
NEW_WORLD = 500
"""Steps until the walk begins again, with other addresses to dwell on and another size of the cache."""


class Moves:
    """Random steps, most of them about a few addresses."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._few = rng.sample(KEYS, rng.choice((1, 2, 3, len(KEYS))))
        # The role takes several searches, which tell of its members too.
        self._roles = rng.random() < 0.4
        if self._roles:
            self._few = ["postmaster@d.example", *MEMBERS]
        weights = dict(WEIGHTS)
        weights["server"] = rng.choice((0, 2, 15))
        weights["land"] = rng.choice((8, 25, 40))
        self._names, self._weights = list(weights), list(weights.values())
        self._pauses = rng.choice((PAUSES, PAUSES, PAUSES[:5]))

    def next(self) -> tuple[object, ...]:
        """The name of the next step, and what it takes."""
        what: str = self._rng.choices(self._names, self._weights)[0]
        return what, *getattr(self, f"_{what}")()

    def _key(self) -> str:
        return self._rng.choice(self._few if self._rng.random() < 0.8 else KEYS)

    def _own(self) -> str:
        key = self._key()
        if self._roles:
            return self._rng.choice(MEMBERS)
        return key if key in CHANGING else self._rng.choice(CHANGING)

    def _ask(self) -> tuple[object, ...]:
        return self._rng.randrange(3), self._key(), self._rng.choice(("slow", "prompt", "prompt", "fast"))

    def _find(self) -> tuple[object, ...]:
        return self._rng.randrange(3), self._key()

    def _land(self) -> tuple[object, ...]:
        return (self._rng.randrange(20),)

    _look = _land

    def _fail(self) -> tuple[object, ...]:
        return self._rng.randrange(20), self._rng.choice(FAILURES)

    def _put(self) -> tuple[object, ...]:
        key, quality = self._own(), self._rng.choice((0, 1, 2, 2, 2, 2))
        if key in MEMBERS:  # they keep their address and their place
            return key, 0, "account", quality
        return key, self._rng.randrange(2), self._rng.choice(("account", "alias")), quality

    def _remove(self) -> tuple[object, ...]:
        return self._own(), self._rng.randrange(2)

    def _occupy(self) -> tuple[object, ...]:
        return (self._rng.randrange(1, 4) if self._roles else self._rng.randrange(5),)

    def _advance(self) -> tuple[object, ...]:
        return (self._rng.choice(self._pauses),)

    def _server(self) -> tuple[object, ...]:
        return (self._rng.randrange(3),)

    def _flush(self) -> tuple[object, ...]:
        place = self._rng.choice((None, 0, 1, 2))
        return place, None if place is None else self._rng.choice((None, self._key(), self._key()))


WEIGHTS = {
    "ask": 30, "find": 3, "land": 25, "look": 6, "fail": 3, "put": 10, "remove": 5, "occupy": 3, "advance": 15,
    "server": 2, "flush": 4,
}  # fmt: skip


def walk(steps: int, seed: int) -> Counts:
    """Walk so many steps. Raises AssertionError, with the last of them in its notes."""
    rng = random.Random(seed)
    total = Counts()
    while steps > 0:
        world = World(rng, rng.choice(((4, 2), (1, 1), (50, 50), (50, 50))))
        moves = Moves(rng)
        try:
            for _ in range(min(steps, NEW_WORLD)):
                world.step(*moves.next())
        except AssertionError as error:
            error.add_note(f"seed {seed}, {steps} steps left, last:\n" + "\n".join(world.log))
            raise
        finally:
            world.close()
        steps -= NEW_WORLD
        total.searches += world.counts.searches
        total.cached += world.counts.cached
        total.records += world.counts.records
        for status, count in world.counts.replies.items():
            total.replies[status] = total.replies.get(status, 0) + count
    return total


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    logging.disable()
    began = time.monotonic()
    print(f"{arguments.steps} steps, seed {arguments.seed}: {walk(arguments.steps, arguments.seed)}")
    print(f"{time.monotonic() - began:.0f} s, nothing wrong")
    return 0


if __name__ == "__main__":
    sys.exit(main())
