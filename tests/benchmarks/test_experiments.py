"""Every experiment as a user runs it, for moments: that it measures what it says, and writes what it shows."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.__main__ import PROGRAMS
from benchmarks.report.output import ROOT

pytestmark = pytest.mark.slow


def run(name: str, *options: str, output: Path | None = None) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks", name, *options, "--no-progress"]
    command += ["--output", str(output)] if output else ["--json"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads((output / f"{name}.json").read_text() if output else done.stdout)
    return result


def figures(result: dict[str, Any], section: str) -> dict[tuple[str, int], dict[str, float]]:
    return {(row["name"], row["clients"]): row["figures"] for row in result["rows"] if row["section"] == section}


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_program_says_what_it_does(name: str) -> None:
    command = [sys.executable, "-m", "benchmarks", name, "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "--help" in done.stdout


def test_help_names_every_program() -> None:
    command = [sys.executable, "-m", "benchmarks", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=60)
    named = re.findall(r"(?m)^  (\w+) +\w", done.stdout.partition("programs:")[2])
    assert sorted(named) == sorted(PROGRAMS)


def test_a_start_takes_longer_than_its_imports(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    result = run("startup", "--rounds", "1", "--records", "1000", output=tmp_path)
    times = [each["time"] for each in figures(result, "startup").values()]
    assert len(times) == 6
    assert min(times) > 0
    assert "## Start" in (tmp_path / "startup.md").read_text()
    assert (tmp_path / "startup.png").read_bytes().startswith(b"\x89PNG")


def test_a_change_shows() -> None:
    result = run("freshness", "--rounds", "1", "--only", "changed, found")
    assert len(figures(result, "freshness")) == 4
    assert all(0 < each["longest"] < 10_000 for each in figures(result, "freshness").values())


def test_logins_and_new_entries_are_heard() -> None:
    sizes = ("--accounts", "500", "--logins", "50", "--entries", "100", "--lookups", "100", "--modes", "sync")
    places = ("shared", "apart") if os.geteuid() == 0 and len(os.sched_getaffinity(0)) > 1 else ("shared",)
    result = run("hearing", "--seconds", "1", "--rounds", "1", *sizes, "--bulk", *places)
    (logins,) = figures(result, "logins").values()
    assert logins["heard"] > 0
    assert logins["hit ratio"] > 0.9
    for place in places:
        without, beside = figures(result, place).values()
        assert without["heard"] == 0
        assert beside["heard"] >= 100
    assert [ratio["title"].rpartition(" ")[2] for ratio in result["ratios"]] == ["sync"] * len(places)


def test_records_are_weighed_and_a_flood_stays_within_its_bound() -> None:
    result = run("memory", "--records", "2000", "--flood", "8", "--kinds", "accounts")
    heard, unheard = (figures(result, "records")[f"changes: {how}", 2000] for how in ("sync", "none"))
    assert heard["dependences a record"] > unheard["dependences a record"] == 0
    assert all(0 < each["accounted"] <= 8 << 20 for each in figures(result, "flood").values())


def test_the_hot_path_is_measured_by_each_protocol_and_transport() -> None:
    result = run("hot_path", "--rounds", "1", "--seconds", "0.2", "--accounts", "500", "--connections", "3")
    for section in result["sections"]:
        assert figures(result, section["name"]).keys() == {("echo", 3), ("bare", 3), ("vmaild", 3)}


def test_growth_is_measured_along_each_series() -> None:
    sizes = ("--answers", "200", "400", "--connections", "1", "3", "--entries", "100")
    result = run("growth", "--seconds", "0.2", *sizes)
    answers = figures(result, "answers")
    assert [round(size, -2) for _, size in answers] == [200, 400]
    assert all(each["resident"] > 1 << 20 for each in answers.values())
    assert figures(result, "connections").keys() == {("vmaild", 1), ("vmaild", 3)}
    (entries,) = figures(result, "entries").values()
    assert entries["ok"] == entries["checked"] > 0


def test_misses_beside_cached_answers_are_misses() -> None:
    load = ("--misses", "50", "--rate", "50", "--accounts", "500", "--delay", "0.02")
    result = run("interference", "--rounds", "1", "--seconds", "0.5", *load)
    assert len(figures(result, "cached")) == 3
    assert all(each["p50"] >= 20 for each in figures(result, "misses").values())
    assert len(result["ratios"]) == 2


def test_the_directory_layer_is_measured_beside_other_clients() -> None:
    result = run("directory", "--rounds", "1", "--seconds", "0.2", "--accounts", "500", "--connections", "1")
    assert len(figures(result, "directory")) == 6
    assert "while searches hang" in result["notes"][0]


def test_misses_are_measured_beside_ldap_tables() -> None:
    options = ("--accounts", "8000", "--sessions", "1")
    result = run("miss", "--rounds", "1", "--seconds", "0.2", *options)
    assert figures(result, "rcpt").keys() == {("ldap:", 1), ("vmaild", 1)}
    assert figures(result, "postmap").keys() == {(name, n) for name in ("ldap:", "vmaild") for n in (1, 16)}
    assert [ratio["ratio"] > 0 for ratio in result["ratios"]] == [True] * 4


def test_all_rivals_are_compared() -> None:
    sizes = ("--accounts", "1500", "--hot", "200", "--sessions", "2")
    result = run("compare", "--rounds", "1", "--seconds", "0.2", *sizes, "--parts", "load", "postmap", "rcpt")
    rivals = {name for name, _ in figures(result, "rcpt")}
    assert rivals >= {"ldap:", "proxy:ldap:", "memcache:", "vmaild", "hash:", "dict socketmap server"}
    assert rivals & {"lmdb:", "cdb:"}
    assert ("mta-sts-daemon, protocol alone", 16) in figures(result, "load")
    lookups = figures(result, "postmap")
    assert lookups["vmaild, cached", 1]["rate"] > 0
    assert lookups["vmaild, all misses", 16]["cpu server"] > 0
