"""The snippets: configuration of the programs around vmaild, kept as files, and filled in from vmaild's own.

A snippet is a file of the folder ``postfix-snippets`` (kind ``postfix``), of a folder in it (whose name is the kind:
``dovecot``, ``slapd``, ...), or of ``systemd``. Whatever file is put there is a snippet, and its first comment says
what it is for. README files are none. A checkout has both folders beside the package, the wheel in ``vmaild/data``.

Each file works as it is for the HOWTO's example, whose values are what is replaced (``snippet_values``). What no
vmaild.toml says (passwords, the numbers of the Unix account, the home of the mailboxes) stays.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import vmaild

PACKAGE = Path(vmaild.__file__).parent

FOLDER = "postfix-snippets"
UNITS = "systemd"

_COMMENT = re.compile(r"^\s*(?:#|//|\{#)+[ \t]*(.*)$")


class Snippet(NamedTuple):
    """One file: its kind, its name, and its text as it is in the file."""

    kind: str
    name: str
    text: str

    @property
    def title(self) -> str:
        """The first sentence of its first comment or, in JSON, which has none, of its ``description``."""
        if self.name.endswith(".json"):
            return _first_sentence(json.loads(self.text).get("description", ""))
        lines: list[str] = []
        for line in self.text.splitlines():
            match = _COMMENT.match(line)
            if match is None or not match[1].strip():
                if lines or match is None:
                    break
                continue
            lines.append(match[1].strip())
        return _first_sentence(" ".join(lines))


def _first_sentence(text: str) -> str:
    return re.split(r"(?<=[.:])\s", f"{text} ", maxsplit=1)[0].strip().rstrip(".:")


def root() -> Path:
    """The folder that holds both folders of snippets. Raises FileNotFoundError when they were not installed."""
    for place in (PACKAGE / "data", PACKAGE.parent):
        if (place / FOLDER).is_dir():
            return place
    raise FileNotFoundError(f"no {FOLDER} in {PACKAGE / 'data'}: this vmaild was installed without its snippets")


def snippets(place: Path | None = None) -> list[Snippet]:
    """Every snippet below ``place`` (by default ``root()``), by kind and name."""
    place = place or root()
    folder = place / FOLDER
    found = [_read("postfix", path) for path in _files(folder)]
    for below in sorted(path for path in folder.iterdir() if path.is_dir()):
        found += [_read(below.name, path) for path in _files(below)]
    found += [_read(UNITS, path) for path in _files(place / UNITS)]
    return sorted(found, key=lambda one: (one.kind, one.name))


def named(wanted: str, known: list[Snippet]) -> list[Snippet]:
    """Those that ``wanted`` names: ``KIND/NAME``, or ``NAME`` alone."""
    return [one for one in known if wanted in (one.name, f"{one.kind}/{one.name}")]


def filled(text: str, values: Mapping[str, str]) -> str:
    """``text`` with each key of ``values`` replaced, where two fit the longer one."""
    if not values:
        return text
    pattern = "|".join(re.escape(key) for key in sorted(values, key=len, reverse=True))
    return re.sub(pattern, lambda match: values[match[0]], text)


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith(("README", ".")))


def _read(kind: str, path: Path) -> Snippet:
    return Snippet(kind, path.name, path.read_text(encoding="utf-8"))
