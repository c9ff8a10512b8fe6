"""LDAP URIs as vmaild accepts them: ``ldap://HOST[:PORT]``, ``ldaps://HOST[:PORT]``, ``ldapi://[PATH]``.

PATH is %-encoded, as OpenLDAP's own tools want it (``ldapi://%2Frun%2Fslapd%2Fldapi``); without it the path is
the one slapd listens on by default. A base DN, attributes or a filter in the URI are refused: they stand in
settings of their own.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

DEFAULT_PORTS = {"ldap": 389, "ldaps": 636}
DEFAULT_SOCKET = "/var/run/slapd/ldapi"
MAX_SOCKET_PATH = 107
"""sun_path holds 108 bytes with its terminating NUL (unix(7))."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One server's address: ``host`` and ``port`` for ldap and ldaps, ``path`` for ldapi."""

    uri: str
    scheme: str
    host: str = ""
    port: int = 0
    path: str = ""

    @property
    def is_local(self) -> bool:
        """True when the bytes stay on this machine: a unix socket, or a loopback address by number or name."""
        if self.scheme == "ldapi" or self.host.lower() == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def parse(uri: str) -> Endpoint:
    """The endpoint that ``uri`` names; ``ValueError`` says what is wrong with it."""
    parts = urlsplit(uri)
    scheme = parts.scheme
    if scheme not in ("ldap", "ldaps", "ldapi"):
        raise ValueError("must begin with ldap://, ldaps:// or ldapi://")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError("must hold nothing after the host: base DN and filter have settings of their own")
    if parts.username is not None:
        raise ValueError("must not hold a user name or password: use bind_dn and bind_pw")
    if scheme == "ldapi":
        return Endpoint(uri, scheme, path=_socket_path(parts.netloc))
    if not parts.hostname:
        raise ValueError("has no host name")
    # urlsplit's port property raises ValueError by itself when the port is no number up to 65535.
    port = parts.port
    if port == 0:
        raise ValueError("has port 0")
    return Endpoint(uri, scheme, host=parts.hostname, port=port or DEFAULT_PORTS[scheme])


def _socket_path(netloc: str) -> str:
    path = unquote(netloc) or DEFAULT_SOCKET
    if not path.startswith("/"):
        raise ValueError("must hold an absolute path, with each / written as %2F")
    if len(path.encode()) > MAX_SOCKET_PATH:
        raise ValueError(f"has a socket path longer than {MAX_SOCKET_PATH} bytes")
    return path
