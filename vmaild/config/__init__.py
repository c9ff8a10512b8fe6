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
from typing import Any, Literal

from vmaild.cache import CacheSettings
from vmaild.config.maps import Common, MapSet, read_maps
from vmaild.config.section import Problems, Section, did_you_mean
from vmaild.directory import DirectorySettings, password_in
from vmaild.directory import problems as directory_problems
from vmaild.errors import ConfigError
from vmaild.listening import parse_address
from vmaild.process import systemd
from vmaild.server import ListenSettings
from vmaild.tables.presets import PRESETS

DEFAULT_PATH = Path("/etc/vmaild/vmaild.toml")
DEFAULT_LISTEN = "inet:127.0.0.1:10143"
DEFAULT_CONTROL = "unix:/run/vmaild/control.sock"
PROTOCOLS = ("socketmap", "tcp_table")
LOG_LEVELS = ("debug", "info", "warning", "error")

# The credential that systemd hands over with LoadCredential=bind_pw:..., systemd.exec(5).
CREDENTIAL = "bind_pw"

_TABLES = ("directory", "listen", "cache", "http", "control", "maps")


@dataclass(frozen=True, slots=True)
class DaemonSettings:
    """The keys at the top of the file."""

    preset: str = ""
    recipient_delimiter: str = ""
    owner_request_special: bool = True
    log_level: str = "info"
    watchdog: float = 10.0
    """Seconds that the event loop may stand still before the process dumps its stacks and exits; 0 for never."""
    drain_timeout: float = 5.0
    """Seconds that lookups under way get to finish when the daemon is stopped."""
    state_directory: str = ""
    """Where the snapshot is kept; empty for systemd's ``$STATE_DIRECTORY``, and without that for none."""
    max_connections: int = 5000
    """Clients at one time, over all listeners; one more is closed at once."""


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that a configuration file says."""

    path: Path
    daemon: DaemonSettings
    directory: DirectorySettings
    listen: tuple[ListenSettings, ...]
    cache: CacheSettings
    maps: MapSet
    http: str = ""
    control: str = DEFAULT_CONTROL
    control_is_default: bool = True
    warnings: tuple[str, ...] = field(default=())


def load(path: Path, environ: Mapping[str, str] = os.environ) -> Config:
    """The configuration in ``path``. Raises ConfigError with every problem found."""
    problems = Problems(str(path))
    try:
        document = tomllib.loads(path.read_bytes().decode())
    except OSError as error:
        raise ConfigError([f"{path}: {error.strerror or error}"]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError([f"{path}: {error}"]) from None
    config = _Reader(path, document, environ, problems).config()
    if problems.found:
        raise ConfigError(problems.found)
    return config


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
        directory = self._directory()
        common = Common(directory.search_base, daemon.recipient_delimiter, daemon.owner_request_special)
        maps = read_maps(daemon.preset, self._document.get("maps", {}), common, self._problems)
        return Config(
            path=self._path,
            daemon=daemon,
            directory=directory,
            listen=self._listens(maps),
            cache=self._cache(),
            maps=maps,
            http=self._address("http", ""),
            control=self._address("control", DEFAULT_CONTROL),
            control_is_default="control" not in self._document,
            warnings=tuple(self._warnings),
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
        daemon = DaemonSettings(**values)
        if not daemon.recipient_delimiter.isascii() or not daemon.recipient_delimiter.isprintable():
            section.problem("recipient_delimiter", "must be printable ASCII characters")
        for key in ("watchdog", "drain_timeout"):
            if not 0 <= getattr(daemon, key) <= 3600:
                section.problem(key, "must be 0 to 3600 seconds")
        if daemon.max_connections < 1:
            section.problem("max_connections", "must be at least 1")
        return daemon

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
        settings = DirectorySettings(**values)
        if len(self._problems.found) == before:
            for key, text in directory_problems(settings):
                section.problem(key, text)
        return settings

    def _password(self, section: Section, values: Mapping[str, Any]) -> tuple[str, str]:
        """The password from a credential or bind_pw_file, and that file; bind_pw in the file itself needs no help.

        The credential comes first: a file that only root can read serves commands run by hand, and the service gets
        the same as a credential.
        """
        inline, file = "bind_pw" in section, section.string("bind_pw_file")
        if inline:
            if file:
                section.problem("bind_pw_file", "stands beside bind_pw; only one of the two may be set")
            self._warn_if_readable(self._path, "holds bind_pw and can be read by every user")
            return "", ""
        simple = values.get("bind_dn") and values.get("bind", "simple") == "simple"
        passed = systemd.credential(CREDENTIAL, self._environ) if simple else None
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

    def _warn_if_readable(self, path: Path, text: str) -> None:
        if path.stat().st_mode & 0o004:
            self._warnings.append(f"{path}: {text}; chmod 0640 it")

    def _listens(self, maps: MapSet) -> tuple[ListenSettings, ...]:
        written = self._document.get("listen", [{"address": DEFAULT_LISTEN}])
        if not isinstance(written, list) or not written:
            self._problems.add("", "listen", "must be one or more [[listen]] tables")
            return ()
        found = [
            self._listen(Section(value, f"listen {n}", self._problems), maps) for n, value in enumerate(written, 1)
        ]
        listens = [listen for listen in found if listen is not None]
        addresses = [listen.address for listen in listens if not listen.address.endswith(":0")]
        for address in dict.fromkeys(a for a in addresses if addresses.count(a) > 1):
            self._problems.add("listen", "address", f"{address!r} stands here twice")
        return tuple(listens)

    def _listen(self, section: Section, maps: MapSet) -> ListenSettings | None:
        section.only(f.name for f in fields(ListenSettings))
        address = section.string("address")
        if "address" not in section:
            section.problem("address", "is missing")
        tcp_table = section.choice("protocol", PROTOCOLS) == "tcp_table"
        name = (section.string("map") or "").lower()
        if tcp_table and name not in maps.tables:
            near = did_you_mean(name, maps.tables) if name else "; tcp_table has no map names of its own"
            section.problem("map", f"no map named {name!r}{near}" if name else f"is missing{near}")
        if not tcp_table and name:
            section.problem("map", 'is only for protocol = "tcp_table"; socketmap clients name the map')
        file_keys = {key: section.string(key) or "" for key in ("owner", "group")}
        mode = self._mode(section)
        if not self._valid_address(section, address):
            return None
        if not str(address).startswith("unix:"):
            for key in ("mode", "owner", "group"):
                if key in section:
                    section.problem(key, "is only for unix: addresses")
        protocol: Literal["socketmap", "tcp_table"] = "tcp_table" if tcp_table else "socketmap"
        return ListenSettings(address=str(address), protocol=protocol, map=name, mode=mode, **file_keys)

    def _mode(self, section: Section) -> int | None:
        text = section.string("mode")
        if text is None:
            return None
        try:
            mode = int(text, 8)
        except ValueError:
            mode = -1
        if not 0 <= mode <= 0o777:
            section.problem("mode", f'{text!r} must be an octal file mode such as "0660"')
            return None
        return mode

    def _valid_address(self, section: Section, address: str | None) -> bool:
        if address is None:
            return False
        try:
            parse_address(address)
        except ValueError as error:
            section.problem("address", str(error))
            return False
        return True

    def _cache(self) -> CacheSettings:
        section = self._section("cache")
        section.only(f.name for f in fields(CacheSettings))
        values = section.fields(CacheSettings)
        for key in ("ttl", "negative_ttl"):
            # Who sets a life wants that one, whether changes are heard or not.
            if values.get(key, -1) >= 0:
                values.setdefault(f"heard_{key}", values[key])
        settings = CacheSettings(**values)
        for f in fields(CacheSettings):
            least = 1 if f.name.startswith("max_") else 0
            if getattr(settings, f.name) < least:
                section.problem(f.name, f"must be at least {least}")
        return settings

    def _address(self, table: str, default: str) -> str:
        """The address of [http] or [control]."""
        section = self._section(table)
        section.only(("address",))
        address = section.string("address")
        if address is None:
            return default
        valid = bool(address) and self._valid_address(section, address)
        if valid and table == "control" and not address.startswith("unix:"):
            section.problem("address", "must be a unix: address")
        return address
