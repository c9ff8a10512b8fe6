"""The LDAP requests that vmaild writes itself for following changes (RFC 4511; RFC 4533, 2.2): pure.

A stream needs a bind, a search for single entries, the one search with the Sync Request control, and a probe now
and then that shows whether the server still answers. Filters are those that a feed needs: the presence of an
attribute, equality, what is not less, and an OR of such; there is no parser for their text (RFC 4515).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from vmaild.directory.ber import WHO_AM_I
from vmaild.directory.sync_ber import CONTROLS, ENUMERATED, OCTETS, SEQUENCE, encode, encode_boolean, encode_integer
from vmaild.directory.sync_cookie import NOTHING_KNOWN, Cookie

SYNC_REQUEST = b"1.3.6.1.4.1.4203.1.9.1.1"
"""The Sync Request control (RFC 4533, 2.2); a server that knows it lists it in ``supportedControl``."""

NO_ATTRIBUTES = "1.1"  # RFC 4511, 4.5.1.8

BASE, ONE, SUB = 0, 1, 2
"""Scopes of a search (RFC 4511, 4.5.1.2)."""

_REFRESH_AND_PERSIST = 3


class Bind(NamedTuple):
    """How to bind: mechanism SIMPLE, with name and password or with neither, or EXTERNAL (RFC 4422, appendix A)."""

    mechanism: str = "SIMPLE"
    name: str = ""
    password: str = ""

    def __repr__(self) -> str:
        """Without the password: a traceback must not show it."""
        return f"Bind({self.mechanism!r}, {self.name!r})"


class SyncSearch(NamedTuple):
    """The search whose changes are to be followed: base DN, filter (see ``present``), attributes wanted.

    ``cookie`` is the state up to which everything is known already; empty asks for all entries first. ``reload_hint``
    asks a server that cannot report what happened since then for all entries, in the place of result 4096. slapd
    heeds it with ``syncprov-reloadhint TRUE`` only. ``size_limit`` is the most entries of the answer, 0 for no limit;
    the server refuses the rest, with result 4.
    """

    base: str
    filter: bytes
    attributes: Sequence[str]
    cookie: Cookie = NOTHING_KNOWN
    scope: int = SUB
    reload_hint: bool = False
    size_limit: int = 0


def present(attribute: str) -> bytes:
    """The filter ``(attribute=*)``."""
    return encode(0x87, attribute.encode())


def at_least(attribute: str, value: bytes) -> bytes:
    """The filter ``(attribute>=value)``."""
    return encode(0xA5, encode(OCTETS, attribute.encode()), encode(OCTETS, value))


def equal(attribute: str, value: bytes) -> bytes:
    """The filter ``(attribute=value)``, any bytes in the value."""
    return encode(0xA3, encode(OCTETS, attribute.encode()), encode(OCTETS, value))


def bind_request(message: int, bind: Bind) -> bytes:
    """The BindRequest. Raises ``ValueError`` for a name without a password: it would succeed, as nobody."""
    if bind.mechanism == "EXTERNAL":
        # An empty authorization identity: the server takes the one it knows from TLS or the unix socket.
        how = encode(0xA3, encode(OCTETS, b"EXTERNAL"), encode(OCTETS))
    elif bind.mechanism != "SIMPLE":
        raise ValueError(f"no bind by {bind.mechanism}")
    elif bool(bind.name) != bool(bind.password):
        raise ValueError("a simple bind needs both name and password")  # RFC 4513, 5.1.2
    else:
        how = encode(0x80, bind.password.encode())
    name = encode(OCTETS, b"" if bind.mechanism == "EXTERNAL" else bind.name.encode())
    return _message(message, encode(0x60, encode_integer(3), name, how))


def base_search(message: int, dn: str, attributes: Sequence[str]) -> bytes:
    """The SearchRequest for one entry by its DN."""
    return _message(message, _search(dn, BASE, present("objectClass"), attributes))


def search(message: int, wanted: SyncSearch) -> bytes:
    """The SearchRequest for what is there now, without the control."""
    return _message(message, _search(wanted.base, wanted.scope, wanted.filter, wanted.attributes, wanted.size_limit))


def sync_search(message: int, search: SyncSearch) -> bytes:
    """The SearchRequest with the Sync Request control, refreshAndPersist; critical: never taken for a plain one."""
    known = bytes(search.cookie)
    cookie = encode(OCTETS, known) if known else b""
    value = encode(
        SEQUENCE, encode_integer(_REFRESH_AND_PERSIST, ENUMERATED), cookie, encode_boolean(search.reload_hint)
    )
    control = encode(SEQUENCE, encode(OCTETS, SYNC_REQUEST), encode_boolean(True), encode(OCTETS, value))
    operation = _search(search.base, search.scope, search.filter, search.attributes)
    return _message(message, operation, encode(CONTROLS, control))


def who_am_i(message: int) -> bytes:
    """ "Who am I?" (RFC 4532): any answer shows that the server is alive."""
    return _message(message, encode(0x77, encode(0x80, WHO_AM_I)))


def _search(base: str, scope: int, filter_: bytes, attributes: Sequence[str], size_limit: int = 0) -> bytes:
    return encode(
        0x63,
        encode(OCTETS, base.encode()),
        encode_integer(scope, ENUMERATED),
        encode_integer(0, ENUMERATED),  # never dereference aliases (RFC 4533, 3.2)
        encode_integer(size_limit),
        encode_integer(0),  # no time limit
        encode_boolean(False),  # values too
        filter_,
        encode(SEQUENCE, *(encode(OCTETS, name.encode()) for name in attributes or (NO_ATTRIBUTES,))),
    )


def _message(message: int, *parts: bytes) -> bytes:
    return encode(SEQUENCE, encode_integer(message), *parts)
