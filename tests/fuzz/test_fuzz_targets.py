"""The promises of the fuzz targets hold for their seeds, and for cuts of them, without atheris."""

from __future__ import annotations

import pytest

from tests.fuzz.targets import TARGETS

READ_WHOLE = ("settings", "configuration")
"""Targets that read a configuration for every piece: seconds."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in READ_WHOLE else []) for name in TARGETS]
)
def test_a_target_takes_its_seeds_and_every_piece_of_them(name: str) -> None:
    target = TARGETS[name]
    for seed in target.seeds:
        for end in range(len(seed) + 1) if len(seed) < 300 else (len(seed),):
            target.run(seed[:end])
    target.run(b"")
