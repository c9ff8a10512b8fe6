"""master.cf, as far as tables need it: services, whether each is chrooted, and its ``-o name=value``.

A service is a logical line of eight columns: name, type, private, unprivileged, chroot, wakeup, process limit, and the
command with its arguments (master(5)). ``-o { name = value }`` may hold blanks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from vmaild.postfix import lines

COLUMNS = 8

_WORD = re.compile(r"\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}|[^\s{]\S*|\{\S*")


@dataclass(frozen=True, slots=True)
class Service:
    """One service: ``command`` is the program's name; ``overrides`` are parameters of main.cf for it alone."""

    name: str
    type: str
    chroot: bool
    command: str
    overrides: Mapping[str, str]

    @property
    def title(self) -> str:
        """``name/type``, as ``postconf -P`` writes it."""
        return f"{self.name}/{self.type}"


def services(text: str, *, chroot_default: bool = False) -> list[Service]:
    """The services of a master.cf. Lines that are none are left out: master(8) has complained of them.

    ``chroot_default`` is what ``-`` means in the chroot column: no since Postfix 3.0 with compatibility_level 1.
    """
    found = []
    for line in lines.logical_lines(text):
        words = line.text.split(None, COLUMNS - 1)
        if line.stray or len(words) < COLUMNS:
            continue
        command, *arguments = _WORD.findall(words[-1])
        chroot = chroot_default if words[4] == "-" else words[4] == "y"
        found.append(Service(words[0], words[1], chroot, command, dict(_overrides(arguments))))
    return found


def _overrides(arguments: list[str]) -> Iterator[tuple[str, str]]:
    for number, argument in enumerate(arguments):
        if argument == "-o":
            text = arguments[number + 1] if number + 1 < len(arguments) else ""
        elif argument.startswith("-o") and "=" in argument:
            text = argument.removeprefix("-o")
        else:
            continue
        inner = text[1:-1] if text.startswith("{") and text.endswith("}") else text
        name, equals, value = inner.partition("=")
        if equals:
            yield name.strip(), value.strip()
