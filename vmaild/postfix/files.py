"""The thin reader: Postfix's files from the disk, and its defaults from ``postconf`` where there is one."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vmaild.postfix import lines
from vmaild.postfix.ldap_cf import LdapTable, read_source
from vmaild.postfix.main_cf import DEFAULTS, MainCf
from vmaild.postfix.master_cf import Service, services
from vmaild.postfix.tables import TableName

CONFIG_DIRECTORY = Path("/etc/postfix")

POSTCONF_SECONDS = 30.0
"""postconf reads files only; it takes milliseconds."""


@dataclass(frozen=True, slots=True)
class Site:
    """One Postfix: its directory and what main.cf and master.cf say. ``master`` is empty without a master.cf."""

    directory: Path
    main: MainCf
    master: tuple[Service, ...] = ()


def read_site(directory: Path = CONFIG_DIRECTORY) -> Site:
    """The configuration in ``directory``. Raises OSError without a main.cf, UnicodeDecodeError for what is no text."""
    main = MainCf.of((directory / "main.cf").read_text(), postconf_defaults(directory))
    master = directory / "master.cf"
    found = services(master.read_text(), chroot_default=_chroots(main)) if master.exists() else []
    return Site(directory, main, tuple(found))


def _chroots(main: MainCf) -> bool:
    """Whether ``-`` in the chroot column means yes, as it does below compatibility_level 1 (master(5))."""
    return main.value("compatibility_level").partition(".")[0] in ("", "0")


def postconf_defaults(directory: Path) -> Mapping[str, str]:
    """``postconf -d``: every default of the Postfix that is installed; ``DEFAULTS`` where none is."""
    program = shutil.which("postconf") or shutil.which("postconf", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        return DEFAULTS
    try:
        command = [program, "-c", str(directory), "-d"]
        done = subprocess.run(command, capture_output=True, check=True, timeout=POSTCONF_SECONDS)
    except (OSError, subprocess.SubprocessError):
        return DEFAULTS
    found = lines.settings(done.stdout.decode(errors="replace")).values
    return {**DEFAULTS, **found, "config_directory": str(directory)}


def read_table_file(path: Path) -> LdapTable:
    """The table in an ldap_table(5) file. Raises OSError, or UnicodeDecodeError for what is no text."""
    return table_in(str(path), path.read_text())


def table_in(name: str, text: str) -> LdapTable:
    """The table that the text of a file describes."""
    found = lines.settings(text)
    table = read_source(name, found.values, _open)
    problems = (*(("", text) for text in found.problems), *table.problems)
    warnings = (*(("", text) for text in found.warnings), *table.warnings)
    return LdapTable(name, table.query, table.directory, problems, warnings)


def read_table(table: TableName, main: MainCf) -> LdapTable:
    """The table ``ldap:FILE``, or ``ldap:NAME`` with its parameters in ``main``. Raises OSError, UnicodeDecodeError."""
    if table.is_file:
        return read_table_file(Path(table.name))
    try:
        values = main.source(table.name)
    except ValueError as error:
        return LdapTable(table.name, {}, {}, (("", str(error)),))
    found = read_source(table.name, values, _open, literal=False)
    if values:
        return found
    missing = ("", f"main.cf has no parameter {table.name}_*; a file's name begins with '/'")
    return LdapTable(found.name, found.query, found.directory, (missing, *found.problems), found.warnings)


def _open(path: str) -> str:
    return Path(path).read_text()
