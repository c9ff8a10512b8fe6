"""The short chaos run with changes followed; the long one is ``make chaos``."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from tests.feed import chaos


@pytest.mark.parametrize("mode", chaos.MODES)
def test_chaos_leaves_no_answer_older_than_a_change_may_take_to_show(mode: Any, tmp_path: Path) -> None:
    seed = random.randrange(1 << 30)
    outcome = chaos.run(tmp_path, seconds=0.0, mode=mode, seed=seed)
    assert outcome.problems() == [], f"seed {seed}: {outcome}"


def test_the_time_in_which_something_was_broken_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """An oracle that lets everything pass shows nothing."""
    times = chaos.Times()
    for begin, end in ((10.0, 14.0), (20.0, 21.0)):
        monkeypatch.setattr(chaos.time, "monotonic", lambda: begin)  # noqa: B023
        times.begin()
        monkeypatch.setattr(chaos.time, "monotonic", lambda: end)  # noqa: B023
        times.end()
    assert times.whole(0.0, 9.0) == 9.0
    assert times.whole(8.0, 16.0) == 2.0
    assert times.whole(13.0, 19.5) == 5.5
    assert times.whole(11.0, 13.0) == 0.0
    assert times.whole(13.5, 25.0) == 6.0
    assert times.whole(22.0, 25.0) == 3.0
