"""Which Pythons are at hand, and the lower bounds of pyproject.toml."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

_NAME = re.compile(r"python3\.\d+")
# What venv and building bonsai need; Debian has both in packages of their own.
_WHO = """
import ensurepip, pathlib, platform, sys, sysconfig, venv
pathlib.Path(sysconfig.get_path("include"), "Python.h").stat()
print(*sys.version_info[:2], platform.python_implementation(), sys.version_info.releaselevel)
"""


@dataclass(frozen=True, slots=True)
class Project:
    """What pyproject.toml has: the least Python, each runtime dependency with its lower bound, the Pythons named."""

    python: tuple[int, int]
    lowest: Mapping[str, str]
    named: frozenset[str]


def project(text: str) -> Project:
    """Read from the text of a pyproject.toml. Raises ValueError for a dependency without a lower bound."""
    table = tomllib.loads(text)["project"]
    major, minor = _bound(f"python{table['requires-python']}")[1].split(".")[:2]
    named = frozenset(re.findall(r"Python :: (3\.\d+)", "\n".join(table.get("classifiers", ()))))
    return Project((int(major), int(minor)), dict(map(_bound, table["dependencies"])), named)


def _bound(requirement: str) -> tuple[str, str]:
    match = re.match(r"([\w.-]+?)\s*>=\s*([\d.]+)", requirement)
    if match is None:
        raise ValueError(f"{requirement!r} has no lower bound")
    return match[1], match[2]


def places(environ: Mapping[str, str] = os.environ) -> list[Path]:
    """The folders where Pythons are looked for, in this order."""
    pyenv = Path(environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    # Newest first: 3.13.10 after 3.13.9.
    versions = sorted(pyenv.glob("versions/*/bin"), key=lambda path: _numbers(path.parent.name), reverse=True)
    return [*map(Path, filter(None, environ.get("PATH", "").split(os.pathsep))), *versions]


def _numbers(name: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", name)]


def pythons(folders: Iterable[Path], least: tuple[int, int]) -> dict[tuple[int, int], Path]:
    """One usable CPython for each minor version from ``least`` on: the first that is found."""
    found: dict[tuple[int, int], Path] = {}
    for folder in folders:
        for path in sorted(folder.glob("python3.*")):
            # pyenv's shims are there for versions that are not to be used too: only running one tells.
            if _NAME.fullmatch(path.name) and (version := _version(path)) and version >= least:
                found.setdefault(version, path)
    return dict(sorted(found.items()))


def _version(path: Path) -> tuple[int, int] | None:
    try:
        done = subprocess.run([path, "-c", _WHO], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    major, minor, implementation, level = done.stdout.split()
    return (int(major), int(minor)) if (implementation, level) == ("CPython", "final") else None
