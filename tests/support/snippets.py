"""Snippets as ``vmaild snippets`` prints them, with what no vmaild.toml says filled in too."""

from __future__ import annotations

import re
from collections.abc import Mapping

from vmaild.commands.snippet_files import filled, named, snippets
from vmaild.commands.snippet_values import values
from vmaild.config import load
from vmaild.demo.daemon import DaemonProcess

PASSWORD = "CHANGE-ME"


def snippet(name: str, more: Mapping[str, str], daemon: DaemonProcess | None = None) -> str:
    """The text of one snippet for the configuration of ``daemon``; ``more`` is replaced besides, and must be there."""
    (one,) = named(name, snippets())
    text = filled(one.text, values(load(daemon.configuration)) if daemon else {})
    for example in more:
        assert example in text, f"{name} has no {example}"
    return filled(text, more)


def settings(text: str) -> dict[str, str]:
    """The parameters of a main.cf."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    logical = re.sub(r"\n\s+", " ", "\n".join(lines))
    found = [line.partition("=") for line in logical.splitlines()]
    return {name.strip(): value.strip() for name, _, value in found}


def services(text: str) -> str:
    """The lines of a master.cf without its comments."""
    return "".join(f"{line}\n" for line in text.splitlines() if line.strip() and not line.startswith("#"))
