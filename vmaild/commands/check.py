"""``vmaild check``: the configuration, the servers that it names, and with ``--postfix`` Postfix's side of it.

Exit status: 0; 75 when a server cannot be asked or says no; 78 when the configuration cannot be used, or Postfix's
would make mail bounce or wait. Warnings alone are 0. ``vmaild serve`` never depends on any of it: a directory that is
down when the daemon starts is waited for.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from vmaild.commands import check_postfix
from vmaild.commands.output import Style, escape, style_for
from vmaild.commands.session import configuration, print_json
from vmaild.config import Config
from vmaild.directory.examine import Finding, Level, examine
from vmaild.feed.diagnosis import describe
from vmaild.listening import UnixAddress, parse_address
from vmaild.lookup import Scope


def run(options: argparse.Namespace) -> int:
    """Check, and print what was found."""
    config = configuration(options)
    text = f"{len(config.maps.tables)} maps, {len(config.listen)} listeners, no problem found"
    found = [Finding(str(config.path), Level.OK, text), *_places(config)]
    if options.postfix is not None:
        found += check_postfix.findings(options.postfix, config)
    wrong_files = any(finding.level is Level.ERROR for finding in found)
    asked = [] if options.offline else asyncio.run(_ask(config))
    if options.json:
        print_json([{"where": one.where, "level": one.level.value, "text": one.text} for one in [*found, *asked]])
    else:
        _print([*found, *asked])
    if wrong_files:
        return os.EX_CONFIG
    return os.EX_TEMPFAIL if any(finding.level is Level.ERROR for finding in asked) else os.EX_OK


def _print(found: list[Finding]) -> None:
    for one in found:
        stream = sys.stdout if one.level is Level.OK else sys.stderr
        print(f"{_word(one.level, style_for(stream))}{escape(one.where)}: {escape(one.text)}", file=stream)


def _word(level: Level, style: Style) -> str:
    if level is Level.OK:
        return ""
    return style.bad("error: ") if level is Level.ERROR else style.doubtful("warning: ")


async def _ask(config: Config) -> list[Finding]:
    """Every server, at the same time."""
    indexed = searched_by(config)
    every = [(settings, uri) for settings in config.directories for uri in settings.uri]
    try:
        reports = await asyncio.gather(
            *(examine(settings, uri, indexed) for settings, uri in every),
            *(describe(uri, settings) for settings, uri in every if settings.changes != "none"),
        )
    except OSError as error:
        return [Finding(str(config.path), Level.ERROR, f"[directory] tls: {error.strerror or error}")]
    return [finding for report in reports for finding in report]


def searched_by(config: Config) -> set[str]:
    """The attributes that the maps' filters search a tree by: they want an equality index."""
    queries = [query for table in config.maps.tables.values() for query in table.queries]
    queries += [one for query in queries for one in query.domain_tables]
    return {name for query in queries if query.scope is not Scope.BASE for name in query.query_filter.attributes}


def _places(config: Config) -> Iterator[Finding]:
    """Directories that must be there before the daemon can listen in them."""
    named = [("[[listen]] address", parse_address(listen.address)) for listen in config.listen]
    for key, address in named:
        if isinstance(address, UnixAddress) and not Path(address.path).parent.is_dir():
            parent = Path(address.path).parent
            text = f"{key}: the directory {str(parent)!r} is not there: make it, or let systemd (RuntimeDirectory)"
            yield Finding(str(config.path), Level.WARNING, text)
