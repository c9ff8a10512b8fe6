"""``vmaild check``: the configuration, the servers that it names, and with ``--postfix`` Postfix's side of it.

Exit status: 0; 75 when a server cannot be asked or says no; 78 when the configuration cannot be used, or Postfix's
would make mail bounce or wait. Warnings alone are 0. ``vmaild serve`` never depends on any of it: a directory that is
down when the daemon starts is waited for.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import stat
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

SYSTEMD = Path("/run/systemd/system")
"""There where systemd runs (sd_booted(3)): it may make a directory yet that is missing."""


def run(options: argparse.Namespace) -> int:
    """Check, and print what was found."""
    config = configuration(options)
    text = f"no problem found; maps: {len(config.maps.tables)}, listeners: {len(config.listen)}"
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
    """Directories of unix sockets, which must be there before the daemon can listen: only systemd makes them."""
    named = [("[[listen]] address", listen.address) for listen in config.listen]
    named += [("[http] address", config.http.address)] if config.http.address else []
    # The default one is made by the unit, and the daemon goes on without it.
    named += [("[control] address", config.control)] if config.control and not config.control_is_default else []
    for key, text in named:
        address = parse_address(text)
        if not isinstance(address, UnixAddress):
            continue
        parent = Path(address.path).parent
        if not parent.is_dir():
            text = (
                f"{key}: the directory {str(parent)!r} is not there, and vmaild does not make it: `install -d -m 0755"
                f" {parent}`, or let systemd do it (vmaild.socket, RuntimeDirectory=, vmaild.tmpfiles)"
            )
            yield Finding(str(config.path), Level.WARNING if SYSTEMD.is_dir() else Level.ERROR, text)
        elif why := _not_a_socket(Path(address.path)):
            yield Finding(str(config.path), Level.ERROR, f"{key}: {address.path}: {why}")


def _not_a_socket(path: Path) -> str:
    """What is in the way there; empty for nothing."""
    try:
        mode = path.lstat().st_mode
    except OSError:
        return ""
    return "" if stat.S_ISSOCK(mode) else "is no socket, and in the way of one: remove it"
