"""Postfix's side of a configuration: main.cf and master.cf read for what makes mail bounce, wait or go astray.

Only parameters that name this vmaild's listeners as ``socketmap:`` or ``tcp:`` tables are checked, with what belongs
to them:

- virtual(8) refuses these tables, and a table of its own must be as guarded as vmaild's;
- ``virtual_alias_domains`` is by default whatever ``virtual_alias_maps`` finds;
- several tables in one parameter: a socketmap is asked for the full address only;
- ``keys`` of a map decides whether it can find what the parameter asks for;
- a chrooted service sees a unix socket only below the queue directory, and must be allowed to open it;
- the recipient delimiter must be the same on both sides.
"""

from __future__ import annotations

import grp
import os
import pwd
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vmaild.config import Config
from vmaild.directory.examine import Finding, Level
from vmaild.listening import UnixAddress, parse_address
from vmaild.migration.uses import USES
from vmaild.postfix.files import Site, read_site, read_table
from vmaild.postfix.tables import TableName, table_names
from vmaild.tables import PRESETS

LOOKING_UP = frozenset({"smtpd", "cleanup", "trivial-rewrite", "qmgr"})
"""The programs that ask these tables."""

_OURS = ("socketmap", "tcp")
_IN_DOMAIN = re.compile(r"=%[dD]/")
_NOT_UPWARD = re.compile(r"\(!\([\w;-]+=\*(\.\.|\\2e\\2e)\*\)\)", re.IGNORECASE)


def findings(directory: Path, config: Config) -> list[Finding]:
    """What there is to say of the Postfix in ``directory``."""
    try:
        site = read_site(directory)
    except (OSError, ValueError) as error:
        text = f"cannot be read: {getattr(error, 'strerror', None) or error}"
        return [Finding(str(directory / "main.cf"), Level.ERROR, text)]
    found = list(_Postfix(site, config).findings())
    return found or [Finding(str(directory), Level.OK, "no trap found in main.cf and master.cf")]


class _Postfix:
    def __init__(self, site: Site, config: Config) -> None:
        self._site = site
        self._config = config
        self._main = str(site.directory / "main.cf")
        self._master = str(site.directory / "master.cf")

    def findings(self) -> Iterator[Finding]:
        """One after the other; the first is that Postfix does not ask vmaild at all."""
        uses = self._uses()
        if not uses:
            yield self._warning(
                self._main, "no parameter names a socketmap: or tcp: table: Postfix does not ask vmaild"
            )
            return
        yield from self._unknown_maps(uses)
        yield from self._alias_domains(uses)
        yield from self._virtual_agent(uses)
        yield from self._several(uses)
        yield from self._kinds(uses)
        yield from self._delimiter()
        yield from self._sockets(uses)

    def _uses(self) -> dict[str, list[TableName]]:
        """The tables of each parameter that has one of ours."""
        found = {}
        for name in self._site.main.settings.values:
            try:
                tables = [table for table in table_names(self._site.main.value(name)) if table.type]
            except ValueError:
                continue
            if any(table.type in _OURS for table in tables):
                found[name] = tables
        return found

    def _unknown_maps(self, uses: dict[str, list[TableName]]) -> Iterator[Finding]:
        for name, tables in uses.items():
            for table in tables:
                asked = table.name.rpartition(":")[2].lower()
                if table.type == "socketmap" and asked not in self._config.maps.tables:
                    known = ", ".join(self._config.maps.tables)
                    yield self._error(self._main, f"{name}: vmaild has no map {asked!r} (it has {known}): mail waits")

    def _alias_domains(self, uses: dict[str, list[TableName]]) -> Iterator[Finding]:
        if "virtual_alias_maps" in uses and "virtual_alias_domains" not in self._site.main:
            yield self._warning(
                self._main,
                "virtual_alias_domains: is $virtual_alias_maps by default; write 'virtual_alias_domains =', or list the"
                " domains that have aliases only",
            )
        if "virtual_mailbox_maps" in uses and "virtual_mailbox_domains" not in self._site.main:
            yield self._error(
                self._main,
                "virtual_mailbox_domains: is $virtual_mailbox_maps by default, which finds no bare domain: all mail is"
                " refused. Set it to vmaild's virtual_mailbox_domains",
            )

    def _virtual_agent(self, uses: dict[str, list[TableName]]) -> Iterator[Finding]:
        transport = self._site.main.value("virtual_transport").partition(":")[0]
        agents = [service for service in self._site.master if service.command == "virtual"]
        if "virtual_mailbox_maps" not in uses or transport not in {"virtual", *(agent.name for agent in agents)}:
            return
        tables = [agent.overrides.get("virtual_mailbox_maps") for agent in agents if agent.name == transport]
        if not any(tables):
            yield self._error(
                self._master,
                "virtual(8) delivers (virtual_transport) and refuses socketmap and tcp tables: all mail waits. Deliver"
                " by LMTP, or give it its own guarded table: -o virtual_mailbox_maps=ldap:FILE",
            )
        for text in filter(None, tables):
            for table in table_names(text):
                yield from self._own_table(table)

    def _own_table(self, table: TableName) -> Iterator[Finding]:
        """virtual(8)'s own table goes round vmaild's guard: it must not lead out of the recipient's domain."""
        if table.type in _OURS:
            yield self._error(self._master, f"virtual(8) refuses {table.text}: all mail waits")
        if not table.is_ldap:
            return
        try:
            query = read_table(table, self._site.main).query
        except (OSError, ValueError) as error:
            yield self._warning(
                self._master, f"{table.text} cannot be read: {getattr(error, 'strerror', None) or error}"
            )
            return
        if not guarded(query):
            yield self._error(
                self._master,
                f"{table.text}: virtual(8)'s own table is not guarded: an account whose mailbox points into another"
                " domain gets its mail there. Have query_filter hold (mailbox=%d/*/)(!(mailbox=*..*)), as"
                " postfix-snippets do",
            )

    def _several(self, uses: dict[str, list[TableName]]) -> Iterator[Finding]:
        for name, tables in uses.items():
            if len(tables) > 1 and not name.endswith(("_restrictions", "_checks")):
                yield self._warning(
                    self._main,
                    f"{name}: has {len(tables)} tables. Postfix asks a socketmap for the full address only, so a"
                    " catch-all of one hides an exact address of the next: make them queries of one map",
                )

    def _kinds(self, uses: dict[str, list[TableName]]) -> Iterator[Finding]:
        """Maps that cannot find what the parameter asks for."""
        preset = self._config.daemon.preset
        made = PRESETS[preset]("") if preset else {}
        for name, table in ((name, table) for name, tables in uses.items() if name in USES for table in tables):
            one = table.name.rpartition(":")[2].lower()
            asks = USES[name].keys
            if table.type != "socketmap" or one not in self._config.maps.tables:
                continue
            keys = self._config.maps.tables[one].settings.keys
            if asks in ("address", "local", "transport") and keys == "domain":
                yield self._error(self._main, f"{name}: asks for addresses, and map {one} finds bare domains only")
            elif asks in ("domain", "access") and keys in ("address", "local"):
                yield self._error(self._main, f"{name}: asks for bare domains, and map {one} finds addresses only")
            elif asks == "transport" and keys == "address" and one not in made:
                text = f"{name}: map {one} has keys = 'address': it finds no domain, no parent of one and no '*'"
                yield self._warning(self._main, f"{text}; write keys = 'transport'")

    def _delimiter(self) -> Iterator[Finding]:
        theirs = self._site.main.value("recipient_delimiter")
        ours = self._config.daemon.recipient_delimiter
        if theirs != ours:
            yield self._error(
                self._main,
                f"recipient_delimiter is {theirs!r} here and {ours!r} in {self._config.path}: write the same, or"
                " addresses with an extension are not found",
            )

    # --- the socket -------------------------------------------------------------------------------------------------

    def _sockets(self, uses: dict[str, list[TableName]]) -> Iterator[Finding]:
        paths = {path: None for tables in uses.values() for table in tables if (path := _unix_path(table))}
        jail = self._site.main.value("queue_directory") or "/var/spool/postfix"
        chroots = {service.chroot for service in self._site.master if service.command in LOOKING_UP}
        addresses = [parse_address(listen.address) for listen in self._config.listen]
        ours = {address.path for address in addresses if isinstance(address, UnixAddress)}
        for path in paths:
            inside = f"{jail.rstrip('/')}/{path.lstrip('/')}"
            # Postfix's programs stand in the queue directory: for them a path without a beginning is below it.
            relative = not path.startswith("/")
            seen = {inside if chroot or relative else path for chroot in chroots or {False}}
            if chroots == {True, False} and not relative and not Path(inside).exists():
                yield self._warning(self._master, f"{path}: some services are chrooted, and look for it at {inside}")
            if not seen & ours:
                where = ", ".join(sorted(seen))
                yield self._error(
                    self._main, f"{path}: Postfix looks for a socket at {where}, where vmaild does not listen"
                )
            for one in sorted(seen & ours):
                yield from self._access(Path(one))

    def _access(self, path: Path) -> Iterator[Finding]:
        """Whether Postfix's user may connect."""
        try:
            found = path.stat()
        except OSError as error:
            yield self._warning(str(path), f"the socket cannot be examined: {error.strerror}; is vmaild running?")
            return
        name = self._site.main.value("mail_owner") or "postfix"
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            return
        if not may_write(found, user.pw_uid, {user.pw_gid, *_groups(name)}):
            mode = stat.S_IMODE(found.st_mode)
            yield self._error(
                str(path),
                f"mode {mode:04o}, user {found.st_uid}, group {found.st_gid}: {name} may not connect. Set mode, owner"
                " and group of the [[listen]] table",
            )

    def _warning(self, where: str, text: str) -> Finding:
        return Finding(where, Level.WARNING, text)

    def _error(self, where: str, text: str) -> Finding:
        return Finding(where, Level.ERROR, text)


def guarded(query: Mapping[str, Any]) -> bool:
    """Whether virtual(8)'s own table can return no mailbox outside the key's domain.

    So it is when its filter wants the value to begin with the domain and to hold no ``..``, when it returns nothing of
    the entry, or when it always fails, as one that returns more attributes than its expansion_limit.
    """
    text, result = str(query.get("query_filter", "")), str(query.get("result_format", "%s"))
    limit, attributes = query.get("expansion_limit", 0), query.get("result_attribute", ())
    fails = 0 < limit < len(attributes)
    inside = _IN_DOMAIN.search(text) is not None and _NOT_UPWARD.search(text) is not None
    return inside or fails or not re.search("%[sud]", result)


def _unix_path(table: TableName) -> str:
    """The path in ``socketmap:unix:PATH:MAP``; empty for another table."""
    if table.type != "socketmap" or not table.name.startswith("unix:"):
        return ""
    return table.name.removeprefix("unix:").rpartition(":")[0]


def _groups(name: str) -> set[int]:
    return {group.gr_gid for group in grp.getgrall() if name in group.gr_mem}


def may_write(found: os.stat_result, uid: int, gids: set[int]) -> bool:
    """Whether a user may write the file, by its mode, owner and group."""
    if found.st_uid == uid:
        return bool(found.st_mode & stat.S_IWUSR)
    if found.st_gid in gids:
        return bool(found.st_mode & stat.S_IWGRP)
    return bool(found.st_mode & stat.S_IWOTH)
