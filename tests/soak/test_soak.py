"""The short soak; the long one is ``make soak``."""

from __future__ import annotations

import random
from pathlib import Path

from tests.soak.__main__ import run

SECONDS = 15.0
PACE = 0.15


def test_a_soaked_daemon_gives_no_wrong_answer_and_lives(tmp_path: Path) -> None:
    seed = random.randrange(1 << 30)
    outcome = run(tmp_path, seconds=SECONDS, pace=PACE, seed=seed)
    assert outcome.problems() == [], f"seed {seed}"
    assert {window.outage for window in outcome.windows} == {True, False}
