"""``vmaild compare MAP|FILE.cf KEYS``: each key is asked of Postfix's table and of vmaild, and differences are shown.

FILE.cf is asked as it is, key by key, as ``postmap -q`` does. MAP is a map of the configuration that is made of table
files (``cf``): Postfix's side is then the search of mail_addr_find(3) over those files. KEYS is a file with a key on
each line, a mail log whose recipients are taken, or ``-``.

Exit status: 0 when all answers are the same, 1 when some differ, 64 for an unknown map, 69 without postmap.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vmaild import daemon
from vmaild.config import Config, load
from vmaild.lookup import NOT_FOUND, Reply, Request, Status
from vmaild.migration.causes import cause
from vmaild.migration.keys import keys_in
from vmaild.migration.postmap import NoPostmap, Postmap
from vmaild.postfix.tables import TableName
from vmaild.tables import address
from vmaild.tables.table import Group, Table

EX_DIFFERENT = 1
AT_ONCE = 50
"""Keys that vmaild is asked side by side."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is compared: a map of ``config``, and the table files it is made of."""

    config: Config
    map_name: str
    files: tuple[str, ...]
    """Each as Postfix takes it behind ``ldap:``, a path or the name of parameters in main.cf."""

    @property
    def table(self) -> Table:
        """The map's table."""
        return self.config.maps.tables[self.map_name]


def run(options: argparse.Namespace) -> int:
    """Compare, print the differences, and return the exit status."""
    try:
        keys = keys_in(sys.stdin.read() if options.keys == "-" else Path(options.keys).read_text(errors="replace"))
    except OSError as error:
        return _fail(os.EX_NOINPUT, f"{options.keys}: {error.strerror}")
    subject = _file(options.map) if options.map.endswith(".cf") or "/" in options.map else _map(options)
    if isinstance(subject, str):
        return _fail(os.EX_USAGE, subject)
    try:
        theirs = _postfix(subject, keys, Postmap(options.postfix_config), Progress("Postfix", sys.stderr.isatty()))
    except NoPostmap as error:
        return _fail(os.EX_UNAVAILABLE, str(error))
    ours = asyncio.run(_vmaild(subject, keys, Progress("vmaild", sys.stderr.isatty())))
    return _report(subject, keys, theirs, ours)


def _file(name: str) -> Subject:
    """A table file, asked with keys as they are."""
    path = Path(name).resolve()
    with tempfile.TemporaryDirectory() as home:
        file = Path(home) / "compare.toml"
        file.write_text(f'[maps.compare]\nkeys = "exact"\ncf = [{json.dumps(str(path))}]\n')
        return Subject(load(file), "compare", (str(path),))


def _map(options: argparse.Namespace) -> Subject | str:
    config, name = load(options.config), options.map.lower()
    if name not in config.maps.tables:
        return f"no map named {options.map!r}"
    written = tomllib.loads(options.config.read_text()).get("maps", {})
    entries: Any = next((values.get("cf", []) for key, values in written.items() if key.lower() == name), [])
    listed = [entries] if isinstance(entries, str) else entries
    if not listed:
        return f"map {name} is not made of table files (cf), so Postfix has nothing to compare it with"
    return Subject(config, name, tuple(_table(entry, options.config.parent) for entry in listed))


def _table(entry: str, home: Path) -> str:
    """An entry of ``cf`` as Postfix takes it behind ``ldap:``; a path there is relative to ``home``."""
    table = TableName.of(entry)
    if table.is_ldap and not table.is_file:
        return table.name
    return str((home / (table.name if table.is_ldap else entry)).resolve())


def _postfix(subject: Subject, keys: Sequence[str], postmap: Postmap, progress: Progress) -> dict[str, Reply]:
    """Postfix's answer to each key: of the first search key that a table has, in the order of the tables."""
    group = Group([subject.table])
    searched = {key: _search_keys(group, key) for key in keys}
    asked = list(dict.fromkeys(text for found in searched.values() for text, _ in found))
    progress.of(len(asked) * len(subject.files))
    answers = [postmap.answers(file, asked, progress.step) for file in subject.files]
    progress.end()
    replies = {}
    for key, found in searched.items():
        tried = (_extended(subject.table, table[text], ext) for text, ext in found for table in answers)
        replies[key] = next((reply for reply in tried if reply.status is not Status.NOT_FOUND), NOT_FOUND)
    return replies


def _search_keys(group: Group, key: str) -> list[tuple[str, str]]:
    if group.tables[0].settings.keys == "exact":
        return [(key, "")]
    folded = address.fold(os.fsencode(key))
    return [(found.text, found.extension) for found in group.search_keys(folded.decode())] if folded is not None else []


def _extended(table: Table, reply: Reply, extension: str) -> Reply:
    if reply.status is not Status.FOUND or not (extension and table.settings.propagate_extension):
        return reply
    text = address.add_extension(reply.text.decode(errors="surrogateescape"), extension)
    return reply._replace(text=text.encode(errors="surrogateescape"))


async def _vmaild(subject: Subject, keys: Sequence[str], progress: Progress) -> dict[str, Reply]:
    replies: dict[str, Reply] = {}
    progress.of(len(keys))
    async with daemon.opened(subject.config) as maps:
        for start in range(0, len(keys), AT_ONCE):
            some = keys[start : start + AT_ONCE]
            requests = [Request(subject.map_name.encode(), os.fsencode(key)) for key in some]
            replies |= zip(some, await asyncio.gather(*(maps.find(request) for request in requests)), strict=True)
            progress.step(len(some))
    progress.end()
    return replies


def _report(subject: Subject, keys: Sequence[str], theirs: dict[str, Reply], ours: dict[str, Reply]) -> int:
    expansions = [query.expansion for query in subject.table.queries]
    by_entry = any(e.leaf_result_attribute or e.terminal_result_attribute for e in expansions)
    different = 0
    for key in keys:
        postfix, vmaild = theirs[key], ours[key]
        if (postfix.status, postfix.text) == (vmaild.status, vmaild.text) or not (
            postfix.authoritative or vmaild.authoritative
        ):
            continue
        different += 1
        print(f"{key}\n  Postfix: {_shown(postfix)}\n  vmaild:  {_shown(vmaild)}")
        print(f"  cause:   {cause(postfix, vmaild, by_entry=by_entry)}")
    print(f"{len(keys)} keys, {different} different")
    return EX_DIFFERENT if different else os.EX_OK


def _shown(reply: Reply) -> str:
    if reply.status is Status.FOUND:
        return ascii(reply.text.decode(errors="backslashreplace"))[1:-1]
    return "not found" if reply.status is Status.NOT_FOUND else f"try again ({reply.text.decode()})"


class Progress:
    """A line on a terminal that shows how far it is; nothing elsewhere."""

    def __init__(self, name: str, shown: bool, write: Callable[[str], object] = sys.stderr.write) -> None:
        self._name = name
        self._shown = shown
        self._write = write
        self._all = self._done = 0

    def of(self, number: int) -> None:
        """Say how many keys there are."""
        self._all = number

    def step(self, number: int) -> None:
        """Count ``number`` keys more."""
        self._done += number
        if self._shown:
            self._write(f"\r{self._name}: {self._done} of {self._all} keys ")

    def end(self) -> None:
        """Take the line away."""
        if self._shown:
            self._write("\r\x1b[K")


def _fail(status: int, text: str) -> int:
    print(f"vmaild: {text}", file=sys.stderr)
    return status
