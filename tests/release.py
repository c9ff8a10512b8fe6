"""A release, checked in empty environments: ``python -m tests.release dist``, which ``make release`` runs.

The wheel and the source distribution are installed into a virtual environment each, where vmaild must print its
version and accept the annotated example, and man(1) find every page. Of the Debian package the files are listed; ``make
nspawn`` installs it.
Exit status 1: something is missing, with one line for each.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator, Mapping
from pathlib import Path

import vmaild
from vmaild.manual import EXAMPLE, pages

ROOT = Path(__file__).parents[1]
IN_THE_DEB = (
    "./etc/vmaild/vmaild.toml",
    "./lib/systemd/system/vmaild.service",
    "./lib/systemd/system/vmaild.socket",
    "./usr/bin/vmaild",
    "./usr/share/doc/vmaild/README.md.gz",
    "./usr/share/doc/vmaild/examples/vmaild.toml",
    *(f"./usr/share/man/man{page.suffix[1:]}/{page.name}.gz" for page in pages()),
)


def main() -> int:
    """Check what the command line names."""
    parser = argparse.ArgumentParser(prog="python -m tests.release", description="Check a release before it is one.")
    parser.add_argument("dist", type=Path, metavar="DIR", help="where the wheel, the sdist and the deb are")
    parser.add_argument("--rehearsal", action="store_true", help="whatever git and the changelog say")
    options = parser.parse_args()
    wrong = [] if options.rehearsal else list(unfinished())
    wrong += [line for kind in ("whl", "tar.gz") for line in installed(one(options.dist, kind))]
    wrong += missing_in_the_deb(one(options.dist, "deb"))
    for line in wrong:
        print(line, file=sys.stderr)
    if not wrong:
        print(f"vmaild {vmaild.__version__}: nothing is missing")
    return 1 if wrong else 0


def unfinished() -> Iterator[str]:
    """What must be done before: everything committed, and the changelog's entries under their version."""
    if run("git", "status", "--porcelain"):
        yield "the checkout has changes that are not committed"
    changes = (ROOT / "CHANGELOG.md").read_text()
    unreleased = re.search(r"^## Unreleased\n(.*?)(?=^## |\Z)", changes, re.MULTILINE | re.DOTALL)
    if unreleased and unreleased[1].strip():
        yield "CHANGELOG.md: entries are still under Unreleased"
    if f"\n## {vmaild.__version__}\n" not in changes:
        yield f"CHANGELOG.md: there is no heading for {vmaild.__version__}"


def one(folder: Path, ending: str) -> Path:
    """The file of this version with that ending."""
    found = sorted(folder.glob(f"vmaild[-_]{vmaild.__version__}*.{ending}"))
    if len(found) != 1:
        raise SystemExit(f"{folder}: {len(found)} files of {vmaild.__version__} end in .{ending}")
    return found[0].resolve()


def installed(archive: Path) -> Iterator[str]:
    """What goes wrong when ``archive`` is all that an environment has."""
    with tempfile.TemporaryDirectory(prefix="vmaild-release-") as folder:
        home = Path(folder)
        venv.create(home / "env", with_pip=True)
        run(home / "env/bin/python", "-m", "pip", "install", "-q", "--disable-pip-version-check", archive)
        program = home / "env/bin/vmaild"
        if run(program, "--version").strip() != f"vmaild {vmaild.__version__}":
            yield f"{archive.name}: another version"
        (home / "bind_pw").write_text("secret\n")
        (home / "vmaild.toml").write_text(EXAMPLE.read_text())
        checked = run(program, "check", "--offline", "-c", home / "vmaild.toml", CREDENTIALS_DIRECTORY=folder)
        if "no problem found" not in checked:
            yield f"{archive.name}: the example is not accepted: {checked}"
        for page in pages():
            path = f"{home}/env/bin:{os.environ['PATH']}"
            found = run("man", "-w", page.suffix[1:], page.stem, PATH=path, MANPATH="").strip()
            if not found.startswith(folder):
                yield f"{archive.name}: man does not find {page.name}"


def missing_in_the_deb(package: Path) -> list[str]:
    """Files that the package should have."""
    listed = {line.split()[5] for line in run("dpkg-deb", "--contents", package).splitlines()}
    return [f"{package.name}: {path} is missing" for path in IN_THE_DEB if path not in listed]


def run(*command: str | Path, **environment: str) -> str:
    """What a command prints; one that fails ends everything."""
    variables: Mapping[str, str] = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        command, cwd="/" if environment else ROOT, env={**variables, **environment}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}: {done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
