"""A query_filter as libldap reads it, written as RFC 4515 wants it.

libldap, and so Postfix, also takes one item without its parentheses (``mail=%s``), and blanks behind an opening
parenthesis, behind ``& | !`` and between the parts of a list. Nothing else is changed: what is malformed stays so, and
is refused when it is parsed. (Measured with Postfix 3.7.11 on OpenLDAP 2.5.13.)
"""

from __future__ import annotations

import re

_BEHIND_OPENING = re.compile(r"\([ \t\r\n]+")
_BEHIND_OPERATOR = re.compile(r"(\([&|!])[ \t\r\n]+")
_BETWEEN = re.compile(r"\)[ \t\r\n]+(?=[()])")


def canonical(text: str) -> str:
    """``text`` with its outer parentheses, and without the blanks that libldap skips."""
    plain = text.strip(" ")
    if plain and plain[0] not in "(&|!":
        plain = f"({plain})"
    plain = _BEHIND_OPENING.sub("(", plain)
    return _BETWEEN.sub(")", _BEHIND_OPERATOR.sub(r"\1", plain))
