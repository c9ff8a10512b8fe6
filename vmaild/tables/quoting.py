"""Bytes as ``\\XX`` pairs, which filters (RFC 4515) and DNs (RFC 4514) read alike."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable

# One lookup quotes the same few keys for each of its queries.
_RECENT = 256


def pairs_for_all_but(plain: str) -> Callable[[str], str]:
    """A function that writes every byte of a text as ``\\XX``, but for the letters in the class ``plain``."""
    runs = re.compile(f"[^{plain}]+")

    @functools.lru_cache(_RECENT)
    def quote(text: str) -> str:
        return runs.sub(_pairs, text)

    return quote


def _pairs(match: re.Match[str]) -> str:
    return "".join(f"\\{byte:02x}" for byte in match[0].encode())
