"""``vmaild domains``: the hosted domains as the daemon knows them, and an administrator's word on them."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.commands.conftest import Run
from vmaild import admin
from vmaild.demo.daemon import DaemonProcess


def told(run: Run) -> dict[str, object]:
    status, out, _ = run("domains", "--json")
    assert status == 0
    return json.loads(out)  # type: ignore[no-any-return]


def test_the_hosted_domains_are_printed(run: Run) -> None:
    give_up = time.monotonic() + 10
    while not told(run)["in_use"]:
        assert time.monotonic() < give_up
        time.sleep(0.05)
    status, out, _ = run("domains")
    assert status == 0
    assert "domain1.example" in out.split()
    assert "hosted domains, read" in out
    assert told(run)["missing"] == {}


def test_confirming_takes_out_nothing_where_nothing_is_missing(run: Run) -> None:
    before = told(run)["domains"]
    status, _, _ = run("domains", "--confirm")
    assert status == 0
    assert told(run)["domains"] == before


def test_where_there_is_no_such_set_it_is_told_why(vmaild: Run, configured: Any, daemon: DaemonProcess) -> None:
    changed = configured(("[http]", "[cache]\nstale_domains = 0\n[http]"))
    original = daemon.configuration.read_text()
    try:
        daemon.configuration.write_text(Path(changed).read_text())
        assert vmaild("-c", changed, "reload")[0] == 0
        status, _, err = vmaild("-c", changed, "domains")
        assert status == 64
        assert "stale_domains" in err
    finally:
        daemon.configuration.write_text(original)
        assert vmaild("-c", changed, "reload")[0] == 0


def test_what_is_missing_and_what_an_outage_showed_is_told(
    vmaild: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = {
        "total": 2, "age": None, "in_use": False, "not_believed": 1, "missing": {"b.example": 12.4},
        "domains": ["a.example", "b.example"], "taken_out": ["gone\x1b[2J.example"],
    }  # fmt: skip
    monkeypatch.setattr(admin, "ask", lambda *_: {"domains": answer})
    (tmp_path / "vmaild.toml").touch()
    status, out, _ = vmaild("-c", str(tmp_path / "vmaild.toml"), "domains")

    first, doubtful, missing, *rows, last = out.splitlines()
    assert status == 0
    assert first == "2 hosted domains, never read yet, not in use"
    assert "showed 1, without a canary: it does not count" in doubtful
    assert "with --confirm, they are hosted no more" in missing
    assert [row.split(maxsplit=1) for row in rows] == [["a.example"], ["b.example", "missing for 12 s"]]
    assert last == "taken out: gone\\x1b[2J.example"
