"""``[[listen]]``, ``[http]``, ``[control]``: where to listen, who may connect, and that no two want one address."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from vmaild.admin import HttpSettings
from vmaild.config import keys, pages
from vmaild.config.section import Problems, Section, did_you_mean
from vmaild.listening import (
    Access,
    Address,
    InetAddress,
    UnixAddress,
    group_number,
    loopback,
    overlap,
    parse_address,
    parse_networks,
    user_number,
)
from vmaild.server import ListenSettings

DEFAULT_LISTEN = "inet:127.0.0.1:10143"
PROTOCOLS = ("socketmap", "tcp_table")


@dataclass(frozen=True, slots=True)
class _Endpoint:
    """What the three tables have in common."""

    address: Address
    mode: int | None
    owner: str
    group: str
    access: Access


class AddressReader:
    """Reads the tables of one document, in this order: listens, http, control. Each address is compared with those
    before it.
    """

    def __init__(self, document: Mapping[str, Any], problems: Problems) -> None:
        self._document = document
        self._problems = problems
        self._taken: list[tuple[str, Address]] = []

    def listens(self, maps: Collection[str]) -> tuple[ListenSettings, ...]:
        """The listeners. ``maps``: the names of all maps."""
        written = self._document.get("listen", [{"address": DEFAULT_LISTEN}])
        if not isinstance(written, list) or not written:
            self._problems.add("", "listen", "must be one or more [[listen]] tables")
            return ()
        found = [
            self._listen(Section(value, f"listen {n}", self._problems), maps) for n, value in enumerate(written, 1)
        ]
        return tuple(listen for listen in found if listen is not None)

    def http(self, folder: Path, environ: Mapping[str, str]) -> HttpSettings:
        """The pages; without an address there are none. ``folder``: where relative paths begin."""
        section = Section(self._document.get("http", {}), "http", self._problems)
        section.only(keys.HTTP)
        if "address" not in section:
            if section.values:
                section.problem("address", "is missing")
            return HttpSettings()
        end = self._endpoint(section)
        certificate, token = pages.certificate(section, folder), pages.token(section, folder, environ)
        if end is None:
            return HttpSettings()
        if token and certificate is None and not loopback(end.address):
            section.warn("token_file", "the token crosses the network in clear: add tls_cert_file and tls_key_file")
        return HttpSettings(str(end.address), end.mode, end.owner, end.group, end.access, certificate, token)

    def control(self, default: str) -> str:
        """The address of the control socket; empty for none."""
        section = Section(self._document.get("control", {}), "control", self._problems)
        section.only(keys.CONTROL)
        text = section.string("address")
        if text == "":
            return text
        # The default may be absent, so it takes no other's place.
        address = self._address(section, text)
        if isinstance(address, InetAddress):
            section.problem("address", "must be a unix: address")
        return default if text is None else text

    def _listen(self, section: Section, maps: Collection[str]) -> ListenSettings | None:
        section.only(keys.LISTEN)
        if "address" not in section:
            section.problem("address", "is missing")
        tcp_table = section.choice("protocol", PROTOCOLS) == "tcp_table"
        name = (section.string("map") or "").lower()
        if tcp_table and name not in maps:
            near = did_you_mean(name, maps) if name else "; tcp_table has no map names of its own"
            section.problem("map", f"no map named {name!r}{near}" if name else f"is missing{near}")
        if not tcp_table and name:
            section.problem("map", 'is only for protocol = "tcp_table"; socketmap clients name the map')
        end = self._endpoint(section)
        if end is None:
            return None
        protocol: Literal["socketmap", "tcp_table"] = "tcp_table" if tcp_table else "socketmap"
        return ListenSettings(str(end.address), protocol, name, end.mode, end.owner, end.group, end.access)

    def _endpoint(self, section: Section) -> _Endpoint | None:
        owner, group = section.string("owner") or "", section.string("group") or ""
        mode = _mode(section)
        access = Access(
            networks=_networks(section),
            uids=_numbers(section, "allow_uid", user_number),
            gids=_numbers(section, "allow_gid", group_number),
        )
        address = self._address(section, section.string("address"))
        if address is None:
            return None
        if isinstance(address, UnixAddress):
            _only_for(section, ("allow",), "inet: addresses; for unix: ones there are allow_uid and allow_gid")
        else:
            _only_for(section, keys.FILE, "unix: addresses")
            _only_for(section, keys.UNIX, "unix: addresses; for inet: ones there is allow")
            if not loopback(address) and "allow" not in section:
                section.problem(
                    "allow",
                    f"is missing: everybody who reaches {address} could ask. Add the networks of the hosts that ask,"
                    ' such as allow = ["192.0.2.0/24"], or listen on 127.0.0.1',
                )
        return _Endpoint(address, mode, owner, group, access)

    def _address(self, section: Section, text: str | None) -> Address | None:
        if text is None:
            return None
        try:
            address = parse_address(text)
        except ValueError as error:
            section.problem("address", str(error))
            return None
        for where, other in self._taken:
            if overlap(address, other):
                same = "is" if address == other else f"collides with {str(other)!r},"
                section.problem("address", f"{text!r} {same} the address of [{where}]: write another port or path")
                break
        self._taken.append((section.name, address))
        return address


def _only_for(section: Section, keys: Iterable[str], what: str) -> None:
    for key in keys:
        if key in section:
            section.problem(key, f"is only for {what}")


def _mode(section: Section) -> int | None:
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


def _networks(section: Section) -> tuple[Any, ...]:
    texts = section.strings("allow")
    if texts is None:
        return ()
    if not texts:
        section.problem("allow", "is empty: nobody could connect. Write the networks of the hosts that ask")
    try:
        return parse_networks(texts)
    except ValueError as error:
        section.problem("allow", str(error))
        return ()


def _numbers(section: Section, key: str, number: Callable[[str | int], int]) -> frozenset[int]:
    names = section.names(key)
    if names is None:
        return frozenset()
    if not names:
        section.problem(key, "is empty: write users or groups by name or number, or leave it out")
    try:
        return frozenset(number(name) for name in names)
    except ValueError as error:
        section.problem(key, str(error))
        return frozenset()
