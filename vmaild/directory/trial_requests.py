"""Requests for changes that a server judges and does not make: with OpenLDAP's No-Op control, critical; pure.

The control (draft-zeilenga-ldap-noop, as slapd has it) makes the server do all that the change would take, with access
rules, overlays and limits, and undo it: the result is ``NO_OPERATION`` where the change would have been made. It is
always critical, so a server that does not know it refuses the request (RFC 4511, 4.1.11).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from vmaild.directory.sync_ber import (
    BOOLEAN,
    CONTROLS,
    ENUMERATED,
    OCTETS,
    SEQUENCE,
    SET,
    BadMessage,
    element,
    encode,
    encode_boolean,
    encode_integer,
    integer,
)

NO_OP = b"1.3.6.1.4.1.4203.666.5.2"
NO_OPERATION = 0x410E
"""The result of a change that would have been made; OpenLDAP's own number."""

SUCCESS = 0
UNKNOWN_CONTROL = 12  # RFC 4511, appendix A.2: unavailableCriticalExtension

REPLACE, ADD_VALUES = 2, 0

_ADD, _MODIFY, _RENAME, _DELETE = 0x68, 0x66, 0x6C, 0x4A
_RESPONSES = (0x69, 0x67, 0x6D, 0x6B, 0x61)  # add, modify, rename, delete, bind


class Add(NamedTuple):
    """A new entry."""

    dn: str
    attributes: Mapping[str, Sequence[str]]


class Modify(NamedTuple):
    """One attribute of an entry: ``operation`` is REPLACE or ADD_VALUES."""

    dn: str
    operation: int
    attribute: str
    values: Sequence[str]


class Rename(NamedTuple):
    """A new RDN beside the old one, and a new place when ``under`` is given."""

    dn: str
    rdn: str
    under: str = ""


class Delete(NamedTuple):
    """An entry that would go."""

    dn: str


Change = Add | Modify | Rename | Delete


def trial(message: int, change: Change) -> bytes:
    """The request for ``change``, with the control."""
    control = encode(SEQUENCE, encode(OCTETS, NO_OP), encode_boolean(True))
    return encode(SEQUENCE, encode_integer(message), _operation(change), encode(CONTROLS, control))


def result(data: bytes, start: int, message: int) -> int | None:
    """The result code in ``data``, one whole message; None for the answer to another. Raises ``BadMessage``."""
    try:
        number, at = integer(data, start, len(data))
        tag, at, end = element(data, at, len(data))
        if number != message or tag not in _RESPONSES:
            return None
        return integer(data, at, end, ENUMERATED)[0]
    except IndexError:
        raise BadMessage("a message that ends too early") from None


def _operation(change: Change) -> bytes:
    name = _text(change.dn)
    if isinstance(change, Add):
        listed = [_attribute(one, values) for one, values in change.attributes.items()]
        return encode(_ADD, name, encode(SEQUENCE, *listed))
    if isinstance(change, Modify):
        part = encode(
            SEQUENCE, encode_integer(change.operation, ENUMERATED), _attribute(change.attribute, change.values)
        )
        return encode(_MODIFY, name, encode(SEQUENCE, part))
    if isinstance(change, Rename):
        under = encode(0x80, change.under.encode()) if change.under else b""
        return encode(_RENAME, name, _text(change.rdn), encode(BOOLEAN, b"\0"), under)
    return encode(_DELETE, change.dn.encode())


def _attribute(name: str, values: Sequence[str]) -> bytes:
    return encode(SEQUENCE, _text(name), encode(SET, *map(_text, values)))


def _text(text: str) -> bytes:
    return encode(OCTETS, text.encode())
