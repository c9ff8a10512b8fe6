"""While changes are heard, what the cache and the dependences of its records take stays within ``max_size``."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

FIXED = 10
"""MiB that a process takes beside the cache, and what an allocator keeps."""

SIZE = 8


@pytest.mark.parametrize("kind", ["nobody", "both"])
def test_a_flood_takes_no_more_memory_than_max_size_and_a_fixed_part(kind: str) -> None:
    """Random addresses, and accounts beside them; what is accounted for is looked at as it goes."""
    options = ["--records", "--flood", str(SIZE), "--kinds", kind, "--json", "--no-progress"]
    command = [sys.executable, "-m", "benchmarks", "memory", *options]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)["rows"]
    told = row["figures"]
    assert told["most"] < (SIZE + FIXED) << 20, told
    assert told["kept"] > 1000
