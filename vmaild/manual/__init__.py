"""The manual pages, and what fills in their reference parts.

The pages are mdoc(7) files in this folder, written by hand but for the parts between ``.\\" made: KIND NAME`` and
``.\\" end``. ``python -m vmaild.manual`` fills them in from the settings' own texts (``settings``), the commands'
parsers (``commands``) and the metrics (``metrics``); with ``--check`` it only compares. A test does so too, so that a
page and the program cannot differ.

``mdoc`` turns the plain texts of the program into mdoc: ``x`` between two backquotes is a literal, nothing else is
markup.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from vmaild.manual import commands, metrics, settings
from vmaild.manual.mdoc import verbatim

FOLDER = Path(__file__).parent
EXAMPLE = FOLDER / "vmaild.toml"
"""The annotated configuration."""


def _example(_: str) -> Iterator[str]:
    return verbatim(EXAMPLE.read_text())


_KINDS = {
    "settings": settings.settings,
    "keys": settings.keys,
    "commands": commands.commands,
    "metrics": metrics.metrics,
    "failures": metrics.failures,
    "example": _example,
}
_PART = re.compile(
    r'(?P<begin>^\.\\" made: (?P<kind>\w+) ?(?P<name>\w*)\n).*?(?P<end>^\.\\" end\n)', re.DOTALL | re.MULTILINE
)


def pages() -> Sequence[Path]:
    """The manual pages, each named as in ``man SECTION NAME``."""
    return sorted(path for path in FOLDER.iterdir() if re.fullmatch(r"\.[1-8]", path.suffix))


def filled(page: str) -> str:
    """``page`` with its made parts written again. A part of an unknown kind or name raises KeyError."""

    def made(part: re.Match[str]) -> str:
        lines = _KINDS[part["kind"]](part["name"])
        return part["begin"] + "".join(f"{line}\n" for line in lines) + part["end"]

    return _PART.sub(made, page)
