"""Mutation testing, bounded: ``python -m tests.mutants wire tables cache maps``, which is ``make mutants``.

mutmut changes the code of one part after the other in small ways, and a sample of these mutants meets that part's own
tests, without those that run another program. A mutant that no test notices survives: it is printed with
its change, and either a test is missing or the change means nothing.

The work is done in a copy of the checkout. Exit status 1: fewer than ``--least`` of the sample were noticed.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

PARTS = ("wire", "tables", "cache", "maps")
ROOT = Path(__file__).parents[1]
MUTMUT = Path(sys.executable).with_name("mutmut")

CONFIGURATION = r"""
[tool.mutmut]
source_paths = ["vmaild"]
only_mutate = ["vmaild/{part}/*"]
also_copy = ["benchmarks", "postfix-snippets", "systemd"]
pytest_add_cli_args = ["--quick", "-m", "not system", "-p", "no:cacheprovider", "-r", "fE"]
pytest_add_cli_args_test_selection = ["tests/{part}"]
# What a message says is for its reader.
do_not_mutate_patterns = ['raise [A-Z]', 'Error\(', 'Failure\(', 'logger\.', '_once\.log']
mutate_only_covered_lines = true
use_setproctitle = false
track_dependencies = false
"""

OUTCOMES = {0: "survived", 1: "noticed", 3: "noticed", 24: "timeout", -24: "timeout", 36: "timeout", 5: "untested"}
"""mutmut's exit codes of a mutant's tests."""

SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
"""What a line of mutmut's progress begins with."""


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutants", description="Change the code; see what tests notice."
    )
    parser.add_argument("parts", nargs="*", default=PARTS, metavar="PART", help="wire, tables, cache, maps (all)")
    parser.add_argument("--sample", type=int, default=150, metavar="N", help="mutants of each part, at random (150)")
    parser.add_argument("--seed", type=int, default=0, help="another seed, another sample (0)")
    parser.add_argument("--least", type=float, default=0.0, metavar="SHARE", help="that must be noticed (0)")
    parser.add_argument("--output", type=Path, default=Path("mutants-results"), metavar="DIR", help="(mutants-results)")
    options = parser.parse_args()
    options.output.mkdir(exist_ok=True)
    shares = [one_part(part, options) for part in options.parts]
    return 0 if min(shares) >= options.least else 1


def one_part(part: str, options: argparse.Namespace) -> float:
    """The share of a part's sample that was noticed."""
    with tempfile.TemporaryDirectory(prefix="vmaild-mutants-") as folder:
        home = copy_of_the_checkout(Path(folder), part)
        # A name that no mutant has: all of them are made, and none is run.
        mutmut(home, "run", "none")
        known = sorted(name for file in metas(home) for name in file["exit_code_by_key"])
        sample = random.Random(options.seed).sample(known, min(options.sample, len(known)))
        said = mutmut(home, "run", "--max-children", "2", *sample)
        codes = {name: code for file in metas(home) for name, code in file["exit_code_by_key"].items()}
        if all(codes[name] is None for name in sample):
            raise SystemExit(f"{part}: no mutant was tried, since its tests fail without one:\n{said[-3000:]}")
        outcomes = Counter(OUTCOMES.get(codes[name], f"code {codes[name]}") for name in sample)
        survivors = [name for name in sample if codes[name] == 0]
        changes = "\n".join(mutmut(home, "show", name) for name in survivors)
    (options.output / f"{part}.diff").write_text(changes)
    noticed = outcomes["noticed"] + outcomes["timeout"]
    counted = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common())
    print(f"{part}: {noticed} of {len(sample)} noticed ({len(known)} possible): {counted}", flush=True)
    for name in survivors:
        print(f"  {name}", flush=True)
    return noticed / len(sample)


def copy_of_the_checkout(folder: Path, part: str) -> Path:
    """A copy with mutmut's configuration for ``part``."""
    for name in ("vmaild", "tests", "benchmarks", "postfix-snippets", "systemd"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    text = (ROOT / "pyproject.toml").read_text()
    (folder / "pyproject.toml").write_text(text + CONFIGURATION.format(part=part))
    return folder


def mutmut(home: Path, *arguments: str) -> str:
    """What ``mutmut`` prints; it ends with 1 where nothing is to be run."""
    command: Sequence[str | Path] = [MUTMUT, *arguments]
    done = subprocess.run(command, cwd=home, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return "\n".join(line for line in done.stdout.splitlines() if not line.startswith(tuple(SPINNER)))


def metas(home: Path) -> Iterator[dict[str, dict[str, int | None]]]:
    """What mutmut knows of the mutants of each file."""
    for path in sorted((home / "mutants").rglob("*.meta")):
        yield json.loads(path.read_text())


if __name__ == "__main__":
    sys.exit(main())
