"""``vmaild audit``: walks the directory page by page and holds every entry to the rules of ``audit_rules``.

The walk is past the daemon, on a connection of its own to the first server that answers, as the daemon's account or
as ``--bind-dn``. With ``--as`` that server is asked what this account may write and should not, and makes no change
(``audit_trials``). Exit status: 0 nothing is wrong (there may be warnings), 1 something is, 75 the directory fails.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from vmaild.admin.words import count
from vmaild.commands.audit_access import Access, access_of
from vmaild.commands.audit_rules import ATTRIBUTES, Audit, Problem, in_order
from vmaild.commands.audit_trials import Samples
from vmaild.commands.output import Style, columns, escape, style_for
from vmaild.commands.session import configuration, fail, print_json
from vmaild.config import Config
from vmaild.directory import LIMIT, DirectorySettings, in_words
from vmaild.directory.examine import Level
from vmaild.directory.trial import TrialError
from vmaild.directory.walk import connected
from vmaild.errors import ConfigError, DirectoryFailure
from vmaild.lookup import Entry, Scope, Search

PAGE = 1000
"""Entries of a page: half a megabyte."""

PAGE_SECONDS = 60.0
"""A page without an index may take long; a walk is no lookup."""

MAX_LINES = 1000
"""Findings printed as a table; ``--json`` has all."""

EX_WRONG = 1


def run(options: argparse.Namespace) -> int:
    """Walk, and print what is wrong."""
    config = configuration(options)
    settings = _settings(config, options)
    audit = Audit(settings.search_base, config.daemon.recipient_delimiter)
    samples = Samples(settings.search_base)
    progress = _Progress(sys.stderr.isatty())
    tenant = _as(config.directory, "--as", options.as_dn, options.as_pw_file) if options.as_dn else None
    try:
        takers = (audit.add, samples.add) if tenant else (audit.add,)
        uri = asyncio.run(_walk(settings, takers, lambda: progress(audit.entries)))
        access = asyncio.run(access_of(tenant, uri, samples)) if tenant else None
    except DirectoryFailure as error:
        return fail(os.EX_TEMPFAIL, *_advice(error, settings))
    except TrialError as error:
        return fail(os.EX_TEMPFAIL, f"--as: {error}")
    finally:
        progress.end()
    problems = in_order([*audit.problems(), *(access.problems if access else ())])
    if options.json:
        print_json(_as_json(audit, problems, access))
    else:
        print("\n".join(page(audit, problems, access, style_for())))
    return EX_WRONG if any(one.level is Level.ERROR for one in problems) else os.EX_OK


def _settings(config: Config, options: argparse.Namespace) -> DirectorySettings:
    """The directory's, with another account when one is given."""
    if not options.bind_dn:
        return config.directory
    return _as(config.directory, "--bind-dn", options.bind_dn, options.bind_pw_file)


def _as(settings: DirectorySettings, option: str, who: str, file: Path | None) -> DirectorySettings:
    """``settings`` with another account. Raises ConfigError."""
    file_option = {"--as": "--as-pw-file", "--bind-dn": "--bind-pw-file"}[option]
    try:
        password = file.read_text().split("\n", 1)[0] if file else ""
    except OSError as error:
        raise ConfigError([f"{file_option} {file}: {error.strerror}"]) from None
    if not password:
        raise ConfigError([f"{option} needs {file_option}, a file with the password in its first line"])
    return dataclasses.replace(settings, bind="simple", bind_dn=who, bind_pw=password, bind_pw_file="")


async def _walk(
    settings: DirectorySettings, takers: Sequence[Callable[[Entry], None]], told: Callable[[], None]
) -> str:
    """Give every entry to ``takers``; from the first server that lets itself be asked, whose URI is returned.

    Raises DirectoryFailure.
    """
    seen = 0
    search = Search(settings.search_base, Scope.SUB, "(objectClass=*)", ATTRIBUTES)
    failure = DirectoryFailure("no server is named")
    for uri in settings.uri:
        try:
            async with (
                connected(settings, uri) as connection,
                contextlib.aclosing(connection.pages(search, PAGE, PAGE_SECONDS)) as pages,
            ):
                async for entries in pages:
                    for entry in entries:
                        for take in takers:
                            take(entry)
                    seen += len(entries)
                    told()
        except DirectoryFailure as error:
            # Half a walk must not be taken for a whole one, nor be walked twice.
            if seen:
                raise
            failure = error
        else:
            if seen:
                return uri
            failure = DirectoryFailure(f"{uri}: {settings.search_base!r} is not there, or may not be read")
    raise failure


def _advice(error: DirectoryFailure, settings: DirectorySettings) -> list[str]:
    lines = [in_words(error)]
    if error.kind == LIMIT:
        lines.append(
            f'let this account read all of it: \'limits dn.exact="{settings.bind_dn}" size.prtotal=unlimited'
            " size=unlimited time=unlimited' in slapd, or walk as another with --bind-dn"
        )
    return lines


class _Progress:
    """How far the walk is, on stderr when that is a terminal."""

    def __init__(self, on: bool) -> None:
        self._on = on

    def __call__(self, entries: int) -> None:
        if self._on:
            print(f"\r{entries} entries", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Leave an empty line."""
        if self._on:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def page(audit: Audit, problems: list[Problem], access: Access | None, style: Style) -> list[str]:
    """The table, and a line with how much there is."""
    rows = [[_word(one, style), one.rule, escape(one.entry), escape(one.text)] for one in problems[:MAX_LINES]]
    lines = columns(rows, indent="") if rows else []
    if len(problems) > MAX_LINES:
        lines.append(f"... and {len(problems) - MAX_LINES} more; --json prints all")
    errors = sum(one.level is Level.ERROR for one in problems)
    lines.append(
        f"{audit.entries} entries: {count(errors, 'error')}, {count(len(problems) - errors, 'warning')}"
        f"{'' if audit.passwords_read else '; no userPassword can be read by this account, so none was checked'}"
    )
    if access is not None:
        possible = count(len(access.problems), "finding")
        lines.append(f"{access.tried} things were tried as {escape(access.who)} without a change: {possible}")
    return lines


def _word(one: Problem, style: Style) -> str:
    return style.bad("error") if one.level is Level.ERROR else style.doubtful("warning")


def _as_json(audit: Audit, problems: list[Problem], access: Access | None) -> dict[str, Any]:
    told = [{"level": one.level.value, "rule": one.rule, "entry": one.entry, "text": one.text} for one in problems]
    report = {"entries": audit.entries, "passwords_read": audit.passwords_read, "problems": told}
    if access is not None:
        report |= {"tried": access.tried, "tried_as": access.who}
    return report
