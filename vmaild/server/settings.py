"""Where to listen, and the limits on what clients may hold. Times are in seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vmaild.listening import EVERYONE, Access

MAX_CONNECTIONS = 10_000
"""Open connections, where the system allows as many descriptors (``vmaild.process.descriptors``); one more waits in the
kernel's backlog. Postfix opens one per process, and a busy host runs a thousand. Each takes 3 KB."""
MAX_PIPELINED = 32
"""Requests of one connection that wait for their answers; its bytes are not read before that. Postfix sends one."""
IDLE_TIMEOUT = 600.0
"""How long a connection may be silent. Not under 360: a Postfix process that finds its connection closed loses one of
its two tries, and in a long SMTP session it does not close it itself."""
TICK = 0.1
"""How often the hot path's time is renewed. A cached answer may serve so much too long, of minutes."""
SWEEP_INTERVAL = 60.0
"""How often idle connections are checked for."""


@dataclass(frozen=True, slots=True)
class ListenSettings:
    """One ``[[listen]]`` table. ``address`` is in Postfix's notation; ``vmaild.listening.parse_address`` reads it.

    ``map`` is the map that a tcp_table listener serves, since that protocol has no map names. ``mode``, ``owner``
    and ``group`` are those of a unix socket's file; None and empty leave the system's defaults. ``access`` says who may
    connect.
    """

    address: str
    protocol: Literal["socketmap", "tcp_table"] = "socketmap"
    map: str = ""
    mode: int | None = None
    owner: str = ""
    group: str = ""
    access: Access = EVERYONE
