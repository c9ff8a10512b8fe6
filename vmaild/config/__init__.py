"""The configuration file: TOML into frozen settings, or every problem at once.

``load(path)`` returns a ``Config`` or raises ``ConfigError`` with one line for each problem: file, table, key, what is
wrong, and for a misspelt key the nearest known one. What works but should be mended is in ``Config.warnings``.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from vmaild.admin import HttpSettings
from vmaild.cache import CacheSettings
from vmaild.config.addresses import DEFAULT_LISTEN, AddressReader
from vmaild.config.keys import POSTFIX
from vmaild.config.maps import Common, MapSet, read_maps
from vmaild.config.ranges import RANGES
from vmaild.config.section import Problems, Section
from vmaild.config.table_files import BOUNDS, Directories
from vmaild.directory import DirectorySettings, password_in
from vmaild.directory import problems as directory_problems
from vmaild.errors import ConfigError
from vmaild.postfix.domains import read_domains
from vmaild.postfix.files import CONFIG_DIRECTORY
from vmaild.process import escape, systemd
from vmaild.server import MAX_CONNECTIONS, ListenSettings
from vmaild.tables import dn
from vmaild.tables.presets import PRESETS

__all__ = [
    "DEFAULT_CONTROL",
    "DEFAULT_LISTEN",
    "DEFAULT_PATH",
    "Config",
    "DaemonSettings",
    "control_address",
    "load",
]

DEFAULT_PATH = Path("/etc/vmaild/vmaild.toml")
DEFAULT_CONTROL = "unix:/run/vmaild/control.sock"
LOG_LEVELS = ("debug", "info", "warning", "error")

CREDENTIAL = "bind_pw"
"""The credential that systemd hands over with LoadCredential=bind_pw:..., systemd.exec(5)."""

_TABLES = ("directory", "listen", "cache", "http", "control", "postfix", "maps")


@dataclass(frozen=True, slots=True)
class DaemonSettings:
    """The keys at the top of the file. The string below a field is its text in vmaild.toml(5)."""

    preset: str = ""
    """Ready-made maps for a tree: ``"courier"``, ``"qmail-ldap"``, ``"inetlocalmailrecipient"``,
    ``"active-directory"`` or ``"iredmail"``, see vmaild-maps(5). The ``[maps.NAME]`` tables add and override."""
    recipient_delimiter: str = ""
    """As in main.cf: any of these characters begins an address extension. Empty: there are no extensions."""
    owner_request_special: bool = True
    """As in main.cf: ``owner-LIST`` and ``LIST-request`` are not split at ``-``."""
    log_level: str = "info"
    """``"debug"``, ``"info"``, ``"warning"`` or ``"error"``. At debug level each search and each answer is logged."""
    watchdog: float = 10.0
    """Seconds that the event loop may stand still before a process beside the daemon logs its stacks and ends it. A
    pause (SIGSTOP, a frozen machine) does not count."""
    drain_timeout: float = 5.0
    """Seconds that lookups in flight get to finish when the daemon stops."""
    max_connections: int = MAX_CONNECTIONS
    """Clients at one time, over all listeners, or as many as the open files allow (``LimitNOFILE=``) beside those kept
    for LDAP, pages and control. More wait in the backlog, and the client that is idle or slow longest makes room."""
    state_directory: str = ""
    """Where the snapshot of the cache is kept over a restart. Empty: systemd's ``$STATE_DIRECTORY``, and without that
    there is none."""


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that a configuration file says."""

    path: Path
    daemon: DaemonSettings
    directories: tuple[DirectorySettings, ...]
    """That of ``[directory]`` first, then those of table files that are asked elsewhere."""
    listen: tuple[ListenSettings, ...]
    cache: CacheSettings
    maps: MapSet
    http: HttpSettings = field(default_factory=HttpSettings)
    control: str = DEFAULT_CONTROL
    control_is_default: bool = True
    warnings: tuple[str, ...] = field(default=())

    @property
    def directory(self) -> DirectorySettings:
        """The first."""
        return self.directories[0]


def load(path: Path, environ: Mapping[str, str] = os.environ) -> Config:
    """The configuration in ``path``. Raises ConfigError with every problem found."""
    problems = Problems(str(path))
    try:
        document = tomllib.loads(path.read_bytes().decode())
    except OSError as error:
        raise ConfigError([escape(f"{path}: {error.strerror or error}")]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError([escape(f"{path}: {error}")]) from None
    config = _Reader(path, document, environ, problems).config()
    if problems.found:
        raise ConfigError(problems.found)
    return config


def control_address(path: Path) -> str:
    """Where the daemon of ``path`` takes commands, whatever else is wrong in the file; empty for nowhere.

    Raises ConfigError when there is no such file, unless it is the default one.
    """
    try:
        address = tomllib.loads(path.read_bytes().decode())["control"]["address"]
    except FileNotFoundError as error:
        if path != DEFAULT_PATH:
            raise ConfigError([f"{path}: {error.strerror}"]) from error
        return DEFAULT_CONTROL
    except (OSError, ValueError, KeyError, TypeError):
        return DEFAULT_CONTROL
    return address if isinstance(address, str) else DEFAULT_CONTROL


class _Reader:
    """One file being read."""

    def __init__(self, path: Path, document: dict[str, Any], environ: Mapping[str, str], problems: Problems) -> None:
        self._path = path
        self._document = document
        self._environ = environ
        self._problems = problems
        self._warnings: list[str] = []

    def config(self) -> Config:
        daemon = self._daemon()
        written = None if self._files_only() else self._directory()
        base = written.search_base if written else ""
        bounds = {name: getattr(written, name) for name in BOUNDS} if written else self._bounds()
        addresses = AddressReader(self._document, self._problems)
        # As in Postfix's own programs, postconf(1).
        postfix = Path(self._environ.get("MAIL_CONFIG", CONFIG_DIRECTORY))
        common = Common(
            base, daemon.recipient_delimiter, daemon.owner_request_special, self._mydestination(), self._path.parent,
            postfix,
        )  # fmt: skip
        asked = Directories([written] if written else [], bounds)
        maps = read_maps(daemon.preset, self._document.get("maps", {}), common, self._problems, asked)
        directories = asked.different or (DirectorySettings((), ""),)
        return Config(
            path=self._path,
            daemon=daemon,
            directories=directories,
            listen=addresses.listens(maps.tables),
            cache=self._cache(),
            maps=maps,
            http=addresses.http(self._path.parent, self._environ),
            control=addresses.control(DEFAULT_CONTROL),
            control_is_default="control" not in self._document,
            warnings=(*self._warnings, *self._problems.warnings),
        )

    def _section(self, name: str) -> Section:
        return Section(self._document.get(name, {}), name, self._problems)

    def _daemon(self) -> DaemonSettings:
        section = Section(self._document, "", self._problems)
        names = [f.name for f in fields(DaemonSettings)]
        section.only((*names, *_TABLES))
        values = section.fields(DaemonSettings)
        if "preset" in values:
            values["preset"] = section.choice("preset", PRESETS) or ""
        if "log_level" in values:
            values["log_level"] = section.choice("log_level", LOG_LEVELS) or "info"
        section.within(RANGES[""], values)
        daemon = DaemonSettings(**values)
        if not daemon.recipient_delimiter.isascii() or not daemon.recipient_delimiter.isprintable():
            section.problem("recipient_delimiter", "must be printable ASCII characters")
        return daemon

    def _mydestination(self) -> frozenset[str]:
        section = self._section("postfix")
        section.only(POSTFIX)
        found = read_domains(" ".join(section.words("mydestination") or ()), lambda path: Path(path).read_text())
        for text in found.problems:
            section.problem("mydestination", text)
        return frozenset(found.names)

    def _directory(self) -> DirectorySettings:
        section = self._section("directory")
        section.only(f.name for f in fields(DirectorySettings))
        values = section.fields(DirectorySettings)
        before = len(self._problems.found)
        for key, empty in (("uri", ()), ("search_base", "")):
            if key not in section:
                section.problem(key, "is missing")
            values.setdefault(key, empty)
        password, file = self._password(section, values)
        if password:
            values["bind_pw"] = password
        values["bind_pw_file"] = file
        self._check_dn(section, values["search_base"])
        section.within(RANGES["directory"], values)
        settings = DirectorySettings(**values)
        told = [problem.split(": ")[1] for problem in self._problems.found[before:]]
        for key, text in directory_problems(settings):
            if f"[directory] {key}" not in told:
                section.problem(key, text)
        return settings

    def _bounds(self) -> dict[str, Any]:
        """Of a [directory] that says no more than how much, while table files say the rest."""
        section = self._section("directory")
        values = section.fields(DirectorySettings)
        section.within(RANGES["directory"], values)
        return values

    def _check_dn(self, section: Section, text: str) -> None:
        try:
            parsed = dn.parse(text)
        except ValueError:
            parsed = ()
        if text.strip() and not parsed:
            section.problem(
                "search_base", f'{text!r} is no DN: write attribute=value pairs such as "o=hosting,dc=example,dc=com"'
            )

    def _files_only(self) -> bool:
        """Whether table files say all but bounds: then [directory] may have these alone, or be left out."""
        maps = self._document.get("maps")
        described = maps.values() if isinstance(maps, dict) else ()
        without = any(not (isinstance(values, dict) and "cf" in values) for values in described)
        directory = self._document.get("directory", {})
        asked = "preset" in self._document or not isinstance(directory, dict) or not directory.keys() <= set(BOUNDS)
        return bool(described) and not without and not asked

    def _password(self, section: Section, values: Mapping[str, Any]) -> tuple[str, str]:
        """The password from a credential or bind_pw_file, and that file; bind_pw in the file itself needs no help.

        The credential comes first: a file that only root can read serves commands run by hand, and the service gets
        the same as a credential.
        """
        inline, file = "bind_pw" in section, section.string("bind_pw_file")
        if inline:
            if file:
                section.problem("bind_pw_file", "and bind_pw are mutually exclusive: set one of the two")
            self._warn_if_readable(self._path, "holds bind_pw and can be read by every user")
            return "", ""
        simple = values.get("bind_dn") and values.get("bind", "simple") == "simple"
        passed = self._credential() if simple else None
        path = passed or (self._path.parent / file if file else None)
        if path is None:
            return "", ""
        try:
            if passed is None:
                self._warn_if_readable(path, "can be read by every user")
            return password_in(path.read_bytes()), str(path)
        except (OSError, ValueError) as error:
            section.problem("bind_pw_file", f"{str(path)!r}: {getattr(error, 'strerror', None) or error}")
            return "", ""

    def _credential(self) -> Path | None:
        """The credential, unless it is blank, as the unit has it where there is no file for it."""
        path = systemd.credential(CREDENTIAL, self._environ)
        try:
            return path if path is not None and path.read_bytes().strip() else None
        except OSError:
            # The reader of the password reports what is wrong.
            return path

    def _warn_if_readable(self, path: Path, text: str) -> None:
        if path.stat().st_mode & 0o004:
            self._warnings.append(f"{path}: {text}; chmod 0640 it")

    def _cache(self) -> CacheSettings:
        section = self._section("cache")
        section.only(f.name for f in fields(CacheSettings))
        values = section.fields(CacheSettings)
        section.within(RANGES["cache"], values)
        for key in ("ttl", "negative_ttl"):
            # Who sets a life wants that one, whether changes arrive or not.
            if key in values:
                values.setdefault(f"heard_{key}", values[key])
        return CacheSettings(**values)
