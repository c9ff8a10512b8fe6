"""``vmaild import-postfix [DIR]``: a vmaild.toml, and main.cf's changed lines, from a Postfix with ``ldap:`` tables.

The configuration goes to stdout, with the diff of main.cf behind it as comments, or each to a file of its own
(``--output``, ``--diff``); Postfix's files are only read. Warnings, and what stays with Postfix, go to stderr.

Exit status: 0 when all tables become maps; 1 when some stay, or when vmaild does not take the result; 69 without a
main.cf.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from vmaild.config import load
from vmaild.errors import ConfigError
from vmaild.migration.document import document
from vmaild.migration.edit import changed_text, unified_diff
from vmaild.migration.plan import Plan, make_plan
from vmaild.postfix import files
from vmaild.postfix.files import CONFIG_DIRECTORY, Site
from vmaild.tables.table import KEYS

EX_PARTIAL = 1


def run(options: argparse.Namespace) -> int:
    """Import, print, and return the exit status."""
    try:
        site = files.read_site(options.directory)
        plan = make_plan(site, lambda table: files.read_table(table, site.main), options.listen, KEYS)
    except (OSError, UnicodeDecodeError, ValueError) as error:
        return _tell(os.EX_UNAVAILABLE, f"{options.directory}: {getattr(error, 'strerror', None) or error}")
    text = document(plan, site.main, options.listen, str(options.directory))
    main = options.directory / "main.cf"
    diff = unified_diff(str(main), site.main.text, changed_text(site.main, plan.changes))
    if options.diff:
        options.diff.write_text(diff)
    if options.output:
        options.output.write_text(text)
    print(_shown("" if options.output else text, "" if options.diff else diff), end="")
    return _report(plan, site, text)


def _shown(text: str, diff: str) -> str:
    """What goes to stdout: the configuration, and the diff as comments of it; the diff alone as it is."""
    if not text or not diff:
        return text or diff
    return text + "\n" + "".join(f"# {line}\n" for line in diff.splitlines())


def _report(plan: Plan, site: Site, text: str) -> int:
    refused = _refused(text, site) if plan.maps else []
    warnings = list(dict.fromkeys([*plan.warnings, *_reading(plan, site)]))
    for line in warnings:
        _tell(0, f"warning: {line}")
    for line in dict.fromkeys([*plan.kept, *refused]):
        _tell(0, line)
    if not plan.maps and not plan.kept:
        _tell(0, f"{site.directory}: main.cf names no ldap: table")
    return EX_PARTIAL if plan.kept or refused else os.EX_OK


def _refused(text: str, site: Site) -> list[str]:
    """What vmaild says of the configuration."""
    with tempfile.TemporaryDirectory() as home:
        path = Path(home) / "vmaild.toml"
        path.write_text(text)
        try:
            load(path, {"MAIL_CONFIG": str(site.directory)})
        except ConfigError as error:
            return [problem.replace(f"{path}: ", "") for problem in error.problems]
    return []


def _reading(plan: Plan, site: Site) -> list[str]:
    """Who must be able to read which files."""
    found = []
    for entry in dict.fromkeys(entry for made in plan.maps for entry in made.cf):
        if entry.startswith("ldap:"):
            if site.directory != CONFIG_DIRECTORY:
                found.append(f"{entry}: is read from {site.directory}/main.cf with MAIL_CONFIG={site.directory}")
        elif not Path(entry).stat().st_mode & 0o004:
            found.append(f"{entry}: vmaild's user must be able to read it: give it the file's group")
    return found


def _tell(status: int, text: str) -> int:
    print(f"vmaild: {text}", file=sys.stderr)
    return status
