"""``vmaild benchmark``: hands its arguments to the benchmark, wherever it was installed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.commands.conftest import Run


@pytest.fixture(autouse=True)
def _path_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", sys.path[:])


def test_its_arguments_and_its_exit_status_are_the_benchmarks_own(vmaild: Run) -> None:
    status, out, _ = vmaild("benchmark", "load", "--help")
    assert status == 0
    assert "load" in out.partition("\n")[0]
    assert vmaild("benchmark", "no-such-program")[0] != 0


def test_without_it_the_command_ends_with_69_and_says_so(
    vmaild: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vmaild.commands.benchmark.PACKAGE", tmp_path / "vmaild")
    status, out, err = vmaild("benchmark", "load")
    assert (status, out) == (os.EX_UNAVAILABLE, "")
    assert "was installed without it" in err
