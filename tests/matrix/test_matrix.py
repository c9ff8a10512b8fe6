"""Which cells the matrix has."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.matrix.__main__ import Cell, _command, main
from tests.matrix.pythons import ROOT, places, project, pythons


def fake(folder: Path, name: str, *, prints: str, status: int = 0) -> None:
    """A program that says what a Python would say of itself."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\necho {prints}\nexit {status}\n")
    path.chmod(0o755)


def test_the_lower_bounds_are_those_of_pyproject() -> None:
    wanted = project((ROOT / "pyproject.toml").read_text())
    assert wanted.python >= (3, 11)
    assert wanted.lowest.keys() == {"bonsai", "cachetools", "prometheus-client", "uvloop"}
    assert {"3.11", "3.12", "3.13"} <= wanted.named


def test_a_dependency_without_a_lower_bound_is_refused() -> None:
    with pytest.raises(ValueError, match="'any' has no lower bound"):
        project('[project]\nrequires-python = ">=3.11"\ndependencies = ["any"]')


def test_the_first_usable_python_of_each_minor_version_is_taken(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    fake(first, "python3.12", prints="3 12 CPython final")
    fake(first, "python3.13", prints="no such version here", status=127)
    fake(first, "python3.10", prints="3 10 CPython final")
    fake(first, "python3.11", prints="3 11 PyPy final")
    fake(first, "python3.15", prints="3 15 CPython alpha")
    fake(first, "python3.14-config", prints="3 14 CPython final")
    fake(second, "python3.12", prints="3 12 CPython final")
    fake(second, "python3.13", prints="3 13 CPython final")
    found = pythons([first, tmp_path / "absent", second], (3, 11))
    assert found == {(3, 12): first / "python3.12", (3, 13): second / "python3.13"}


def test_pyenvs_versions_come_after_the_path_and_newest_first(tmp_path: Path) -> None:
    for version in ("3.12.9", "3.12.10", "3.11.1"):
        (tmp_path / "versions" / version / "bin").mkdir(parents=True)
    found = places({"PATH": "/usr/bin:/bin", "PYENV_ROOT": str(tmp_path)})
    assert [str(path) for path in found[:2]] == ["/usr/bin", "/bin"]
    assert [path.parent.name for path in found[2:]] == ["3.12.10", "3.12.9", "3.11.1"]


def test_this_python_is_among_them() -> None:
    assert sys.version_info[:2] in pythons([Path(sys.base_prefix) / "bin"], (3, 11))


def test_a_cell_that_is_not_there_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--list", "--cell", "2.7"])
    assert "no cell 2.7; there are" in capsys.readouterr().err


def test_a_cell_of_the_oldest_libraries_pins_them_and_one_of_another_debian_runs_there(tmp_path: Path) -> None:
    lowest = Cell("3.11-lowest", "/usr/bin/python3.11", pins={"bonsai": "1.5.0", "uvloop": "0.17"})
    assert lowest.requirements == "./checkout[dev,bench] bonsai==1.5.0 uvloop==0.17"
    assert _command(lowest, tmp_path, ["-k", "tls"])[-2:] == ["-k", "tls"]
    elsewhere = _command(Cell("trixie", "/usr/bin/python3", tmp_path / "trixie"), tmp_path, [])
    assert elsewhere[0] == "systemd-nspawn"
    assert elsewhere[-1] == "-q"
