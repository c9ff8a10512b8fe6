"""A real daemon beside a directory that changes: its two maps of an address agree (``tests.maps.outside``)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
ARGUMENTS = ["--seconds", "5", "--rate", "20", "--pace", "2000", "--ttl", "2", "--negative-ttl", "1"]


def test_the_two_maps_of_an_address_never_contradict_each_other_while_the_directory_changes() -> None:
    # A process of its own: it writes with bonsai's own classes, which vmaild replaces in its process.
    command = [sys.executable, "-m", "tests.maps.outside", *ARGUMENTS]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    counted = dict(line.split() for line in done.stdout.splitlines() if line)
    assert (counted["contradictions"], counted["denied"]) == ("0", "0")
    assert int(counted["answers"]) > 1000
    assert int(counted["changes"]) > 20
