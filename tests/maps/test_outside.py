"""A real daemon beside a directory that changes: its two maps of an address agree (``tests.maps.outside``)."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_two_maps_of_an_address_never_contradict_each_other_while_the_directory_changes() -> None:
    # A process of its own: vmaild's LDAP layer replaces classes that a program which writes needs as they were.
    options = ["--seconds", "5", "--rate", "20", "--pace", "2000", "--ttl", "2", "--negative-ttl", "1"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.maps.outside", *options], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    counts = {name: int(count) for name, count in re.findall(r"(\w+) (\d+)$", done.stdout, re.MULTILINE)}
    assert (counts["contradictions"], counts["denied"]) == (0, 0)
    assert counts["answers"] > 1000
    assert counts["changes"] > 20
