"""``python -m tests.matrix [--cell NAME]... [--debian SUITE]... [--results DIR] [pytest's arguments]``."""

from __future__ import annotations

import argparse
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.matrix.pythons import ROOT, places, project, pythons

TREES = Path(os.environ.get("TREES", "/var/tmp/vmaild-nspawn"))
"""Where the trees of other Debians are."""

EXTRAS = "dev,bench"
SCRIPTS = Path("/usr/share/debootstrap/scripts")
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")

# The list of a mirror may be older than Debian's own would be.
_APT = ("-q", "-y", "-o", "Acquire::Check-Valid-Until=false")

# In a cell's folder: the copy of the checkout, and the environment.
_STEPS = """
set -eu
cd "$1"
# Python 3.14 wants its whole path.
run=$1/environment/bin/python
python=$2
requirements=$3
shift 3
"$python" -m venv --clear environment
"$run" -m pip install -q --disable-pip-version-check $requirements
"$run" -m pip freeze > versions
cd checkout
exec "$run" -m pytest "$@"
"""


@dataclass(frozen=True, slots=True)
class Cell:
    """One run: ``python`` is a path in ``tree``, or on this machine without one; ``pins`` are of exact versions."""

    name: str
    python: str
    tree: Path | None = None
    pins: Mapping[str, str] = field(default_factory=dict)

    @property
    def requirements(self) -> str:
        """For pip."""
        return " ".join([f"./checkout[{EXTRAS}]", *(f"{name}=={version}" for name, version in self.pins.items())])


def main(arguments: Sequence[str]) -> int:
    """Run the cells; the exit status is 0 when all of them passed."""
    parser = argparse.ArgumentParser(prog="python -m tests.matrix", allow_abbrev=False)
    parser.add_argument("--cell", action="append", default=[], help="only this one, by its name; may be repeated")
    parser.add_argument("--debian", action="append", default=[], metavar="SUITE", help="a Debian beside this one")
    parser.add_argument("--packages", default="", help="Debian packages that a new tree gets")
    parser.add_argument("--results", type=Path, default=ROOT / "matrix-results", help="where the logs go")
    parser.add_argument("--list", action="store_true", help="name the cells, and run nothing")
    options, selection = parser.parse_known_args(arguments)
    known = {cell.name: cell for cell in _cells(options.debian)}
    for version in project((ROOT / "pyproject.toml").read_text()).named - known.keys():
        print(f"{version}: not at hand")
    if absent := set(options.cell) - known.keys():
        parser.error(f"no cell {', '.join(absent)}; there are {', '.join(known)}")
    cells = [known[name] for name in options.cell or known]
    if options.list:
        print(*(f"{cell.name}: {cell.python}" for cell in cells), sep="\n")
        return 0
    options.results.mkdir(parents=True, exist_ok=True)
    for cell in cells:
        if cell.tree is not None:
            _make_tree(cell.tree, options.packages.split())
    # One copy for all, since the working tree may change while they run.
    with tempfile.TemporaryDirectory(prefix="vmaild-matrix-") as copy:
        _copy_checkout(Path(copy))
        passed = [_run(cell, Path(copy), options.results, selection) for cell in cells]
    return 0 if all(passed) else 1


def _cells(suites: Sequence[str]) -> Iterator[Cell]:
    wanted = project((ROOT / "pyproject.toml").read_text())
    found = pythons(places(), wanted.python)
    for (major, minor), python in found.items():
        yield Cell(f"{major}.{minor}", str(python))
    if wanted.python in found:
        major, minor = wanted.python
        yield Cell(f"{major}.{minor}-lowest", str(found[wanted.python]), pins=wanted.lowest)
    for suite in suites:
        yield Cell(suite, "/usr/bin/python3", TREES / suite)


def _run(cell: Cell, source: Path, results: Path, selection: Sequence[str]) -> bool:
    log = results / f"{cell.name}.log"
    print(f"{cell.name}: {cell.python}, log in {log}", flush=True)
    with tempfile.TemporaryDirectory(prefix="vmaild-matrix-") as home:
        folder = Path(home)
        # Postfix's processes run as a user of their own.
        folder.chmod(0o755)
        shutil.copytree(source, folder / "checkout", copy_function=shutil.copy2)
        (folder / "checkout").chmod(0o755)
        with log.open("wb") as output:
            command = _command(cell, folder, selection)
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False)
        print(f"  {_versions(folder, cell)}\n  {_last_line(log)}", flush=True)
    return done.returncode == 0


def _copy_checkout(to: Path) -> None:
    """What git knows or would add: no environment, cache or result of the working tree."""
    listed = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split("\0"):
        if name and (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)


def _command(cell: Cell, folder: Path, selection: Sequence[str]) -> list[str]:
    steps = ["sh", "-c", _STEPS, "sh", str(folder), cell.python, cell.requirements, *(selection or ["-q"])]
    if cell.tree is None:
        return steps
    # Changes go to memory. pip needs the network; the tests listen on free ports of loopback.
    passed = [
        f"--setenv={name}={value}"
        for name, value in os.environ.items()
        if name.startswith("PIP_") and name != "PIP_FIND_LINKS"
    ]
    return [
        *(*_in(cell.tree), "--volatile=overlay", "--as-pid2", "--capability=all", f"--bind={folder}"),
        *([f"--bind-ro={CERTIFICATES}"] if CERTIFICATES.exists() else []),
        *("--setenv=LANG=C.UTF-8", *passed, "--", *steps),
    ]


def _make_tree(tree: Path, packages: Sequence[str]) -> None:
    """A Debian with what the tests need, unless it is there; what is missing in it is added."""
    # The folder debootstrap is there until it is done.
    if not (tree / "usr/bin/apt-get").exists() or (tree / "debootstrap").exists():
        print(f"{tree.name}: making {tree}", flush=True)
        shutil.rmtree(tree, ignore_errors=True)
        tree.mkdir(parents=True)
        # A Debian newer than this debootstrap is made as the newest one is.
        script = SCRIPTS / (tree.name if (SCRIPTS / tree.name).exists() else "sid")
        _output("debootstrap", "--variant=minbase", tree.name, str(tree), _mirror(), str(script))
    known = _output("chroot", str(tree), "dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n").splitlines()
    missing = [name for name in packages if f"{name} installed" not in known]
    if missing:
        print(f"{tree.name}: installing {' '.join(missing)}", flush=True)
        policy = tree / "usr/sbin/policy-rc.d"
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
        for action in (["update"], ["install", "--no-install-recommends", *missing]):
            _output(*_in(tree), "--setenv=DEBIAN_FRONTEND=noninteractive", "--", "apt-get", *_APT, *action)


def _mirror() -> str:
    """Where this Debian has its own packages from."""
    codename = f"Codename: {platform.freedesktop_os_release()['VERSION_CODENAME']}"
    return _output("apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", codename).split()[0]


def _in(tree: Path) -> list[str]:
    """systemd-nspawn(1) in ``tree``. Its network is this machine's."""
    return [
        *("systemd-nspawn", "--quiet", "--console=pipe", f"--directory={tree}", "--register=no", "--keep-unit"),
        *("--resolv-conf=copy-host", "--timezone=off", f"--machine=vmaild-{os.getpid()}"),
    ]


def _output(*command: str) -> str:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{command[0]} ended with {done.returncode}: {(done.stdout + done.stderr)[-2000:]}")
    return done.stdout


def _versions(folder: Path, cell: Cell) -> str:
    """The runtime dependencies, as they were installed."""
    names = project((ROOT / "pyproject.toml").read_text()).lowest
    path = folder / "versions"
    lines = path.read_text().splitlines() if path.exists() else []
    found = [line for line in lines if line.partition("==")[0].lower().replace("_", "-") in names]
    return ", ".join(found) or f"{cell.name} could not be installed"


def _last_line(log: Path) -> str:
    """What pytest printed last, or without it the last to print something."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    closing = [line for line in lines if re.search(r"\d+ (passed|failed|error)|no tests ran", line)]
    return (closing or lines or ["it said nothing"])[-1]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
