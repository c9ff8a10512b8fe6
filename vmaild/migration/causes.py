"""Why an answer of vmaild may differ from Postfix's: the differences on purpose, told by the two answers."""

from __future__ import annotations

import re

from vmaild.lookup import Reply, Status
from vmaild.tables.results import VALUE_LIMIT

_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")


def cause(postfix: Reply, vmaild: Reply, *, by_entry: bool = False) -> str:
    """A sentence, or ``not known``. ``by_entry`` tells that the table has leaf or terminal attributes."""
    if postfix.status is Status.TEMPORARY:
        return "Postfix's own lookup failed"
    if postfix.status is Status.FOUND and vmaild.status is Status.TEMPORARY and _is_unsafe(postfix.text):
        return "a control character, or what is not UTF-8: vmaild does not pass it on"
    if vmaild.status is Status.TEMPORARY and len(postfix.text) > VALUE_LIMIT:
        return "longer than Postfix takes from a socketmap"
    if postfix.status is Status.FOUND and vmaild.status is Status.FOUND:
        return _of_values(postfix.text.split(b","), vmaild.text.split(b","), by_entry=by_entry)
    if by_entry and vmaild.status is Status.FOUND:
        return _BY_ENTRY
    return "not known"


_BY_ENTRY = "Postfix keeps its leaf and terminal state from one entry to the next; vmaild judges each by itself"


def _of_values(theirs: list[bytes], ours: list[bytes], *, by_entry: bool) -> str:
    if sorted(theirs) == sorted(ours):
        return "the same values in another order"
    if set(theirs) == set(ours):
        return "a value that comes twice is returned once"
    return _BY_ENTRY if by_entry and set(theirs) < set(ours) else "not known"


def _is_unsafe(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return True
    return _CONTROL.search(text) is not None
