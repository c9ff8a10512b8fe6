"""How to reach the directory: the ``[directory]`` table of vmaild.toml as a value, and what can be wrong with it.

Field names are the keys of the table; where ldap_table(5) has a parameter of the same meaning, its name is used. The
string below a field is its text in vmaild.toml(5) (``python -m vmaild.manual``).
``problems`` finds everything that is wrong at once and never raises; it reads certificate files, but does not
connect to anything.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from vmaild.directory import tls
from vmaild.directory.uri import Endpoint, parse

BINDS = ("simple", "none", "sasl_external")
CHANGES = ("auto", "sync", "poll", "none")

# slapd's threads (16 by default) are shared by all its clients: more connections than that only wait there.
MAX_POOL_SIZE = 256
MAX_SECONDS = 3600.0

MAX_ANSWER = 1024 * 1024
"""A reply has at most 100,000 bytes, and a thousand entries of usual size stay below it."""

MAX_VALUES = 10_000
"""It takes 2 ms to parse them. An address takes ten bytes of a reply, which has 100,000."""


@dataclass(frozen=True, slots=True)
class DirectorySettings:
    """The directory's servers, the account, the transport security, and the limits. All times are in seconds."""

    uri: tuple[str, ...]
    """The servers, in order of preference: ``ldap://HOST[:PORT]``, ``ldaps://HOST[:PORT]`` or ``ldapi://PATH`` with
    the slashes of the path written as ``%2F``. Lookups go to the first that is up."""
    search_base: str
    """The DN above the hosted domains, under which everything is searched. A server without an entry there is treated
    as down. Empty: the server's own default, and what must be there is the root DSE (RFC 4512, 5.1), so that only
    canaries notice a server without its data."""
    bind: str = ""
    """``"simple"``, ``"none"`` (anonymous) or ``"sasl_external"`` (ldapi, or TLS with a client certificate). Empty:
    simple when ``bind_dn`` is set, else none."""
    bind_dn: str = ""
    """The account of a simple bind."""
    bind_pw: str = field(default="", repr=False)
    """Its password. Better kept in a file of its own, see ``bind_pw_file``."""
    bind_pw_file: str = ""
    """File whose first line is the password; relative to vmaild.toml. It is read again when it changes. systemd's
    credential ``bind_pw``, when there is one, comes before it. ``bind_pw`` and ``bind_pw_file`` are mutually
    exclusive."""
    start_tls: bool = False
    """StartTLS on each ``ldap://`` connection. A server that refuses it is treated as down."""
    tls_ca_cert_file: str = ""
    """CA certificates (PEM) instead of the system's."""
    tls_ca_cert_dir: str = ""
    """The same, as a directory prepared by openssl-rehash(1)."""
    tls_cert: str = ""
    """Client certificate (PEM)."""
    tls_key: str = ""
    """Its key (PEM)."""
    tls_require_cert: bool = True
    """Check the server's certificate and its host name."""
    allow_cleartext_bind: bool = False
    """Let the password cross a network unencrypted."""
    timeout: float = 3.0
    """Time for one search: waiting for a connection, searching, and one retry."""
    lookup_timeout: float = 30.0
    """Time for a whole lookup, which takes many searches where groups name members by DN. Postfix waits for 100
    seconds."""
    connect_timeout: float = 2.0
    """Time for one connection: name, TCP, TLS, bind, and the check of the search base."""
    pool_size: int = 4
    """Connections to each server."""
    max_waiting: int = 1000
    """Lookups that may wait for a connection. Past it the newest lookup of the client that has most is answered
    TEMP."""
    max_waiting_per_client: int = 500
    """Lookups that one client may have waiting or in the directory; its others are answered TEMP. A client is a
    connection from this machine, or an address of another machine."""
    max_lifetime: float = 1800.0
    """Age at which a connection is replaced, less up to a tenth at random."""
    check_interval: float = 10.0
    """Time between two checks of ``search_base`` and of the canaries. Before "not found" is given, they are checked
    once more when the last check is over a second old."""
    failback_after: float = 15.0
    """How long a preferred server must have been up before lookups fail back to it."""
    slow_after: float = 0.25
    """A server that takes longer than this for a probe, and four times as long as another, is slow: lookups go to the
    other one, as if it were down, until its probes have been quick for ``failback_after``, and for longer each time
    that it is slow again soon. A probe reads one entry, twice a second, the same on each server. A healthy server
    takes a millisecond; where it takes a quarter of a second a queue grows, in which mail and changes wait. 0: never.
    """
    changes: str = "auto"
    """How vmaild learns what changed: ``"sync"`` (RFC 4533), ``"poll"`` (entryCSN), ``"none"``, or ``"auto"``: the
    first of them that the server offers. See vmaild-operations(7)."""
    require_context: bool = False
    """A server that shows no contextCSN is treated as down, also before any has shown one: for a single replica that
    may be loading."""
    replica_grace: float = 3600.0
    """When only servers are left whose data is older than what was seen before, how long their "not found" is answered
    TEMP for an address that was known."""
    max_answer: int = MAX_ANSWER
    """Most bytes of one answer of a server. A longer one is thrown away unread, a failure. The default has room
    for a thousand entries of usual size, or for one with 10,000 DNs; a reply has 100,000 bytes."""
    max_values: int = MAX_VALUES
    """Most values of one answer, and twice the values that one result is made of, its members apart. They cost time in
    which nothing else is answered, 10,000 of them 2 milliseconds. An answer with more is thrown away unread."""

    @property
    def bind_method(self) -> str:
        """``bind``, with its default worked out."""
        return self.bind or ("simple" if self.bind_dn else "none")

    def encrypts(self, endpoint: Endpoint) -> bool:
        """Whether connections to ``endpoint`` use TLS."""
        return endpoint.scheme == "ldaps" or (self.start_tls and endpoint.scheme == "ldap")


def problems(settings: DirectorySettings) -> list[tuple[str, str]]:
    """Everything that is wrong with ``settings``, as (key, what is wrong) in the order of the fields."""
    endpoints, found = _endpoints(settings)
    found += _bind_problems(settings, endpoints)
    found += _tls_problems(settings, endpoints)
    found += _range_problems(settings)
    return found


def _endpoints(settings: DirectorySettings) -> tuple[list[Endpoint], list[tuple[str, str]]]:
    endpoints: list[Endpoint] = []
    found: list[tuple[str, str]] = []
    if not settings.uri:
        found.append(("uri", "names no server"))
    for text in settings.uri:
        try:
            endpoints.append(parse(text))
        except ValueError as error:
            found.append(("uri", f"{text!r} {error}"))
    if len(set(settings.uri)) < len(settings.uri):
        found.append(("uri", "names a server twice"))
    if settings.search_base and not settings.search_base.strip():
        found.append(("search_base", "must be a DN, or empty"))
    for key, value in (("search_base", settings.search_base), ("bind_dn", settings.bind_dn)):
        if "\0" in value:
            found.append((key, "holds a NUL"))
    return endpoints, found


def _bind_problems(settings: DirectorySettings, endpoints: list[Endpoint]) -> Iterator[tuple[str, str]]:
    if settings.bind and settings.bind not in BINDS:
        yield "bind", f"must be one of {', '.join(BINDS)}"
        return
    method = settings.bind_method
    if method != "simple":
        if settings.bind_dn:
            yield "bind_dn", f"is not used with bind = {method!r}"
        if settings.bind_pw:
            yield "bind_pw", f"is not used with bind = {method!r}"
    elif not settings.bind_dn:
        yield "bind_dn", "is needed for a simple bind"
    elif not settings.bind_pw:
        # RFC 4513, 5.1.2: a bind with a name and no password succeeds, as nobody.
        yield "bind_pw", "is empty: the server would take the bind for an anonymous one"
    for endpoint in endpoints:
        yield from _exposure(settings, endpoint, method)


def _exposure(settings: DirectorySettings, endpoint: Endpoint, method: str) -> Iterator[tuple[str, str]]:
    encrypted = settings.encrypts(endpoint)
    if method == "simple" and not (encrypted or endpoint.is_local or settings.allow_cleartext_bind):
        yield (
            "uri",
            f"{endpoint.uri!r} would carry the password in clear text: use ldaps:// or start_tls,"
            " or set allow_cleartext_bind = true",
        )
    if method == "sasl_external" and endpoint.scheme != "ldapi" and not (encrypted and settings.tls_cert):
        yield "bind", f"sasl_external needs ldapi:// or TLS with tls_cert, which {endpoint.uri!r} has not"


def _tls_problems(settings: DirectorySettings, endpoints: list[Endpoint]) -> Iterator[tuple[str, str]]:
    if settings.start_tls and endpoints and not any(e.scheme == "ldap" for e in endpoints):
        yield "start_tls", "needs an ldap:// server"
    if settings.tls_key and not settings.tls_cert:
        yield "tls_key", "is set without tls_cert"
    missing = False
    for key in ("tls_ca_cert_file", "tls_cert", "tls_key"):
        path = getattr(settings, key)
        if path and not Path(path).is_file():
            missing = True
            yield key, f"{path!r} is not a file"
    if settings.tls_ca_cert_dir and not Path(settings.tls_ca_cert_dir).is_dir():
        missing = True
        yield "tls_ca_cert_dir", f"{settings.tls_ca_cert_dir!r} is not a directory"
    if missing:
        return
    try:
        tls.check(settings.tls_ca_cert_file, settings.tls_ca_cert_dir)
    except (OSError, ssl.SSLError) as error:
        yield "tls_ca_cert_file", f"cannot be used: {error}"
    if settings.tls_cert:
        try:
            tls.check_own(settings.tls_cert, settings.tls_key)
        except (OSError, ssl.SSLError) as error:
            yield "tls_cert", f"cannot be used with its key: {error}"


def _range_problems(settings: DirectorySettings) -> Iterator[tuple[str, str]]:
    for key in ("timeout", "connect_timeout", "check_interval"):
        value = getattr(settings, key)
        if not 0 < value <= MAX_SECONDS:
            yield key, f"must be more than 0 and at most {MAX_SECONDS:.0f} seconds"
    if not settings.max_lifetime > 0:
        yield "max_lifetime", "must be more than 0 seconds"
    for key in ("failback_after", "slow_after", "replica_grace"):
        if not getattr(settings, key) >= 0:
            yield key, "must not be negative"
    if not 1 <= settings.pool_size <= MAX_POOL_SIZE:
        yield "pool_size", f"must be 1 to {MAX_POOL_SIZE}"
    if settings.changes not in CHANGES:
        yield "changes", f"must be one of {', '.join(CHANGES)}"
    for key in ("max_waiting", "max_waiting_per_client"):
        if getattr(settings, key) < 1:
            yield key, "must be at least 1"
