"""A unified diff applied as patch(1) does, strictly: every line must stand where the diff says."""

from __future__ import annotations

import re

_HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+")


def patched(text: str, diff: str) -> str:
    """``text`` after ``diff``. Raises AssertionError when the diff does not fit."""
    old, new, at = text.splitlines(), [], 0
    for line in diff.splitlines()[2:]:
        if match := _HUNK.match(line):
            # Line 0 is before the first.
            start = int(match[1]) - (match[2] != "0")
            new += old[at:start]
            at = start
        elif line[:1] == "+":
            new.append(line[1:])
        else:
            assert old[at] == line[1:], f"{old[at]!r} is not {line!r}"
            new += [old[at]] if line[:1] == " " else []
            at += 1
    return "\n".join([*new, *old[at:], ""])
