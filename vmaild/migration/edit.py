"""main.cf with some parameters changed, as a unified diff: comments and all other lines stay as they are."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

from vmaild.migration.uses import is_access_check
from vmaild.postfix.main_cf import MainCf

WIDTH = 100
"""A longer parameter gets a line for each of its words."""


def changed_text(main: MainCf, changes: Mapping[str, Sequence[str]]) -> str:
    """main.cf after ``changes``, the words of each changed parameter; new ones stand at the end."""
    lines = main.text.split("\n")
    for name, changed in sorted(changes.items(), key=lambda item: -_last(main, item[0])):
        found = main.settings.lines.get(name)
        written = _written(name, changed, main.settings.values.get(name, ""))
        if found is None:
            end = len(lines) - 1 if lines and not lines[-1] else len(lines)
            lines[end:end] = written
            continue
        within = lines[found.first - 1 : found.last]
        comments = [line for line in within if line.lstrip().startswith("#")]
        lines[found.first - 1 : found.last] = [*comments, *written]
    return "\n".join(lines)


def unified_diff(path: str, before: str, after: str) -> str:
    """What changes, for patch(1); empty when nothing does."""
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in difflib.unified_diff(old, new, path, path))


def _last(main: MainCf, name: str) -> int:
    found = main.settings.lines.get(name)
    return found.last if found else 0


def _written(name: str, changed: Sequence[str], before: str) -> list[str]:
    separator = ", " if "," in before else " "
    line = f"{name} = {separator.join(changed)}".rstrip()
    if len(line) <= WIDTH:
        return [line]
    items: list[str] = []
    for word in changed:
        if items and is_access_check(items[-1]):
            items[-1] += f" {word}"
        else:
            items.append(word)
    ends = "," if "," in before else ""
    return [f"{name} =", *(f"    {item}{ends}" for item in items[:-1]), f"    {items[-1]}"]
