"""A query_filter as libldap reads it, written as RFC 4515 wants it.

libldap, and so Postfix, also takes a filter without its outer parentheses (``mail=%s``), and blanks between the parts
of a list (filter.c of OpenLDAP). Nothing else is changed: what is malformed stays so, and is refused when parsed.
"""

from __future__ import annotations

import re

_BLANKS_IN_LIST = re.compile(r"(?<=[)])[ \t\r\n]+(?=[()])|(?<=\([&|!])[ \t\r\n]+(?=\()|(?<=\()[ \t\r\n]+(?=[&|!]\s*\()")


def canonical(text: str) -> str:
    """``text`` with its outer parentheses, and without the blanks that libldap skips."""
    plain = text.strip(" ")
    if plain and not plain.startswith("("):
        plain = f"({plain})"
    return _BLANKS_IN_LIST.sub("", plain)
