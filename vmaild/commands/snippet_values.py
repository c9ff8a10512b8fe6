"""What a snippet's example values become for one configuration of vmaild: pure, but for the program's own path.

The examples are those of the HOWTO, as the files have them. One that the configuration has nothing for stays.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from vmaild.config import DEFAULT_PATH, Config
from vmaild.listening import InetAddress, UnixAddress, parse_address
from vmaild.tables import dn

SOCKETMAP = "inet:127.0.0.1:10143"
TCP_TABLES = {
    "virtual_alias_maps": "127.0.0.1:10144",
    "virtual_mailbox_domains": "127.0.0.1:10145",
    "virtual_mailbox_maps": "127.0.0.1:10146",
}
UNIX = "/var/spool/postfix/vmaild/lookups"
PAGES = "127.0.0.1:9143"
OVER_TLS = "#scheme: https\n    #tls_config:\n    #  ca_file: "
WITH_TOKEN = "#authorization:\n    #  credentials_file: "
URI = "ldap://127.0.0.1:389"
SUFFIX = "dc=myhosting,dc=example"
SEARCH_BASE = f"o=hosting,{SUFFIX}"
READER = f"cn=vmaild,{SUFFIX}"
PROGRAM = "/opt/vmaild/bin/vmaild"

QUEUE = "/var/spool/postfix/"
"""Postfix's queue directory: its programs stand in it, chrooted or not, and a path below it needs no beginning."""


def values(config: Config) -> dict[str, str]:
    """The example values with what stands in their place."""
    return {**_sockets(config), **dict(_pages(config)), **_directory(config), **_files(config)}


def _sockets(config: Config) -> dict[str, str]:
    found: dict[str, str] = {}
    listens = [(listen, parse_address(listen.address)) for listen in config.listen]
    maps = [address for listen, address in listens if listen.protocol == "socketmap"]
    inet = next((address for address in maps if isinstance(address, InetAddress)), None)
    unix = next((address for address in maps if isinstance(address, UnixAddress)), None)
    if inet or unix:
        found[f"socketmap:{SOCKETMAP}:"] = f"socketmap:{_as_postfix_names(inet or unix)}:"
    if inet:
        found[SOCKETMAP] = str(inet)
    if unix:
        found["socketmap:unix:vmaild/lookups:"] = f"socketmap:{_as_postfix_names(unix)}:"
        found[UNIX] = unix.path
    for listen, address in listens:
        if listen.map in TCP_TABLES and isinstance(address, InetAddress):
            found[TCP_TABLES[listen.map]] = str(address).removeprefix("inet:")
    found["ListenStream=127.0.0.1:10143"] = "\n".join(f"ListenStream={_stream(address)}" for _, address in listens)
    return found


def _pages(config: Config) -> Iterator[tuple[str, str]]:
    """What a monitor needs: with a certificate or a token, lines that are comments in the file."""
    if config.http.address.startswith("inet:"):
        yield PAGES, config.http.address.removeprefix("inet:")
    secured = (OVER_TLS,) * (config.http.certificate is not None) + (WITH_TOKEN,) * bool(config.http.token)
    for lines in secured:
        yield lines, lines.replace("#", "")


def _as_postfix_names(address: InetAddress | UnixAddress | None) -> str:
    """The address in main.cf: a unix one without the queue directory, so that chrooted programs find it too."""
    return f"unix:{address.path.removeprefix(QUEUE)}" if isinstance(address, UnixAddress) else str(address)


def _stream(address: InetAddress | UnixAddress) -> str:
    return address.path if isinstance(address, UnixAddress) else str(address).removeprefix("inet:")


def _directory(config: Config) -> dict[str, str]:
    settings = config.directory
    found = {"recipient_delimiter = +": f"recipient_delimiter = {config.daemon.recipient_delimiter}".rstrip()}
    if settings.uri:
        found[URI] = " ".join(settings.uri)
    if settings.search_base:
        found[SEARCH_BASE] = settings.search_base
        found[f"{SEARCH_BASE}$"] = f"{normal_pattern(settings.search_base)}$"
    if settings.bind_dn:
        found[READER] = settings.bind_dn
    if suffix := common_suffix(settings.search_base, settings.bind_dn):
        found[SUFFIX] = suffix
    if settings.start_tls:
        found |= dict(_starts_tls())
    if settings.tls_ca_cert_file:
        found["#tls_ca_cert_file = /etc/ssl/certs/ca-certificates.crt"] = (
            f"tls_ca_cert_file = {settings.tls_ca_cert_file}"
        )
    return found


def _starts_tls() -> Iterator[tuple[str, str]]:
    """As ldap_table(5), Dovecot and Courier write it."""
    yield "start_tls        = no", "start_tls        = yes"
    yield "\ntls = no", "\ntls = yes"
    yield "LDAP_TLS 0", "LDAP_TLS 1"


def _files(config: Config) -> dict[str, str]:
    found = {}
    program = Path(sys.argv[0])
    if program.name == "vmaild" and program.is_absolute():
        found[PROGRAM] = str(program)
    if config.path.is_absolute():
        found[str(DEFAULT_PATH)] = str(config.path)
    return found


def normal_pattern(name: str) -> str:
    """A regular expression for the DN ``name`` as slapd compares it: in lower case, no blanks around separators."""
    blank = re.sub(r"\s*([,+=])\s*", r"\1", name.strip()).lower()
    return re.sub(r"([.\[\](){}^$*+?|\\])", r"\\\1", blank)


def common_suffix(*names: str) -> str:
    """What the DNs have in common at their end, as the first writes it; empty for nothing, or for a DN of no name."""
    try:
        parsed = [dn.parse(name) for name in names if name]
    except ValueError:
        return ""
    if not parsed:
        return ""
    length = 0
    while length < min(map(len, parsed)) and len({one[len(one) - length - 1] for one in parsed}) == 1:
        length += 1
    if len(parsed) == 1:
        length = max(length - 1, 0)
    parts = re.split(r"(?<!\\),", names[0])
    return ",".join(parts[len(parts) - length :]).strip() if length else ""
