"""The short soak; the long one is ``make soak``."""

from __future__ import annotations

import random
from pathlib import Path

from tests.soak.__main__ import run
from tests.soak.schedule import FLOODS, OTHERS, OUTAGES

SECONDS = 15.0
PACE = 0.15


def test_a_soaked_daemon_gives_no_wrong_answer_and_lives(tmp_path: Path) -> None:
    seed = next(filter(_begins_with_both, iter(lambda: random.randrange(1 << 30), None)))
    outcome = run(tmp_path, seconds=SECONDS, pace=PACE, seed=seed)
    assert outcome.problems() == [], f"seed {seed}"
    assert {window.outage for window in outcome.windows} == {True, False}, f"seed {seed}"


def _begins_with_both(seed: int) -> bool:
    """Whether an outage is among the first two acts, and something else: a busy machine comes no further."""
    outages = [True] * len(OUTAGES) + [False] * len((*OTHERS, *FLOODS))
    random.Random(seed).shuffle(outages)
    return outages[0] != outages[1]
