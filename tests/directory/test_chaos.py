"""The short chaos run; the long one is ``make chaos``."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from tests.directory import chaos

SECONDS = 10.0


@pytest.mark.parametrize("loop", list(chaos.LOOPS))
def test_chaos_brings_no_wrong_answer_no_leak_and_no_unseen_exception(loop: Any, tmp_path: Path) -> None:
    seed = random.randrange(1 << 30)
    outcome = chaos.run(tmp_path, seconds=SECONDS, loop=loop, seed=seed)
    assert outcome.problems() == [], f"seed {seed}: {outcome}"
