"""The domains whose users Postfix looks for without their domain too: those of mydestination, and myorigin."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vmaild.postfix.main_cf import MainCf
from vmaild.postfix.tables import words

_NEEDS_A_DOMAIN = re.compile("%[dD1-9]")


def local_domains(main: MainCf) -> list[str]:
    """The domains; none when it takes a table or a file to know mydestination."""
    listed = words(main.value("mydestination"))
    if any("/" in word or ":" in word or word.startswith("!") for word in listed):
        return []
    return list(dict.fromkeys([*listed, *_origin(main)]))


def finds_localparts(query: Mapping[str, Any]) -> bool:
    """Whether a table can be asked for a localpart alone: it has no list of domains, and needs no part of one."""
    templates = f"{query.get('search_base', '')} {query.get('query_filter', '')}".replace("%%", "")
    return "domain" not in query and _NEEDS_A_DOMAIN.search(templates) is None


def _origin(main: MainCf) -> list[str]:
    """myorigin, which may be the name of a file."""
    value = main.value("myorigin")
    if not value.startswith("/"):
        return words(value)[:1]
    try:
        return words(Path(value).read_text())[:1]
    except (OSError, UnicodeDecodeError):
        return []
