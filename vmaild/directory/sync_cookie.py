"""OpenLDAP's change sequence numbers and sync cookies: what a server's state is called, and which is newer; pure.

A CSN (draft-ietf-ldup-model, as slapd writes it) is ``20261125225832.123456Z#000000#001#000000``: time in UTC, a
number within that time, the id of the server that made the change, in hexadecimal, and a number within the change.
``contextCSN`` on a database's suffix holds one CSN for each server id. They are compared per server id only: clocks
of different servers have no order. A cookie (slapd's sync consumers) is ``rid=000,csn=CSN;CSN``, with ``sid=`` of the
server in a multi-provider set.

**One change moves one CSN**: the cookie that comes with a change names only the server id that made it. So a
consumer keeps what it had of the others: ``Cookie.merged``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

MAX_COOKIE = 65_536
"""Bytes of a cookie that is read: a CSN has 40, and there are at most 4,096 server ids."""

_CSN = re.compile(r"(\d{14})(?:\.(\d{1,6}))?Z#([0-9a-f]{6})#([0-9a-f]{2,3})#([0-9a-f]{6})", re.IGNORECASE | re.ASCII)


class Csn(NamedTuple):
    """One change sequence number. Of two with the same ``sid`` the greater is the later."""

    time: str
    """UTC, ``YYYYMMDDhhmmss.ffffff``."""
    number: int
    sid: int
    mod: int

    @classmethod
    def parse(cls, text: str) -> Csn:
        """From slapd's text; the form without fractions, and a server id of two digits, are older versions'.

        Raises ``ValueError``.
        """
        match = _CSN.fullmatch(text)
        if match is None:
            raise ValueError("not a change sequence number")
        time, fraction, number, sid, mod = match.groups()
        return cls(f"{time}.{fraction or '':0<6}", int(number, 16), int(sid, 16), int(mod, 16))

    def __str__(self) -> str:
        """As slapd writes it."""
        return f"{self.time}Z#{self.number:06x}#{self.sid:03x}#{self.mod:06x}"


class Cookie:
    """A state of a directory: the last CSN of each server id. A value; ``csns`` must not be changed.

    Without any CSN it is the state of an empty directory: no server is behind it.
    """

    __slots__ = ("csns",)

    def __init__(self, csns: Iterable[Csn] = ()) -> None:
        """Of several CSNs of one server id the latest counts."""
        latest: dict[int, Csn] = {}
        for csn in csns:
            if csn.sid not in latest or latest[csn.sid] < csn:
                latest[csn.sid] = csn
        self.csns: Mapping[int, Csn] = dict(sorted(latest.items()))

    @classmethod
    def parse(cls, cookie: bytes) -> Cookie:
        """From the bytes in a message. Fields but ``csn`` are left out. Raises ``ValueError``."""
        if len(cookie) > MAX_COOKIE:
            raise ValueError("a cookie of unlikely length")
        if not cookie.startswith(b"rid="):
            raise ValueError("not a cookie of OpenLDAP")
        csns: list[Csn] = []
        for field in cookie.decode("ascii").split(","):
            name, _, value = field.partition("=")
            if name == "csn":
                csns += (Csn.parse(text) for text in value.split(";") if text)
        return cls(csns)

    @classmethod
    def of_context(cls, values: Iterable[bytes]) -> Cookie:
        """From the values of ``contextCSN``. Raises ``ValueError``."""
        return cls(Csn.parse(value.decode("ascii")) for value in values)

    def __bytes__(self) -> bytes:
        """For a Sync Request; empty, which asks for everything, when there is no CSN."""
        if not self.csns:
            return b""
        return ("rid=000,csn=" + ";".join(map(str, self.csns.values()))).encode()

    def merged(self, other: Cookie) -> Cookie:
        """The later of both for each server id: what is known after hearing both."""
        return Cookie((*self.csns.values(), *other.csns.values()))

    def is_behind(self, seen: Cookie) -> bool:
        """Whether ``seen`` holds a change that this state does not: an answer from here could go back in time."""
        return any(sid not in self.csns or self.csns[sid] < csn for sid, csn in seen.csns.items())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Cookie) and self.csns == other.csns

    def __hash__(self) -> int:
        return hash(tuple(self.csns.values()))

    def __repr__(self) -> str:
        return f"Cookie({', '.join(map(str, self.csns.values()))})"


NOTHING_KNOWN = Cookie()
"""The state before all states: a search that begins there gets every entry."""
