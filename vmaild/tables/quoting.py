"""Bytes as ``\\XX`` pairs, which filters (RFC 4515) and DNs (RFC 4514) read alike."""

from __future__ import annotations

import re
from collections.abc import Callable


def pairs_for_all_but(plain: str) -> Callable[[str], str]:
    """A function that writes every byte of a text as ``\\XX``, but for the letters in the class ``plain``."""
    runs = re.compile(f"[^{plain}]+")
    search, sub = runs.search, runs.sub

    def quote(text: str) -> str:
        return sub(_pairs, text) if search(text) else text

    return quote


def _pairs(match: re.Match[str]) -> str:
    return "".join(f"\\{byte:02x}" for byte in match[0].encode())
