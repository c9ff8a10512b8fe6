"""``vmaild domains``: the hosted domains as the daemon knows them, and an administrator's word on them."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from tests.commands.conftest import Run
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
