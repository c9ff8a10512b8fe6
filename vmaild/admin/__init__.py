"""What an administrator asks the daemon: the HTTP endpoint, the control socket, and the numbers behind both.

``HttpServer`` serves the pages for monitors, ``ControlServer`` the commands of ``vmaild flush``, ``vmaild stats`` and
``vmaild reload``; ``flush``, ``stats`` and ``reload`` are its client. ``Metrics`` reads what the parts of the daemon
have counted.
``request_server`` is the server under both: one request, one response, one connection.
"""

from vmaild.admin.control import ControlError, ControlServer, flush, reload, stats
from vmaild.admin.http import HttpServer, HttpSettings, Readiness, readiness
from vmaild.admin.metrics import Metrics
from vmaild.admin.request_server import MAX_CONNECTIONS, MAX_TURNED_AWAY

MOST_CONNECTIONS = MAX_CONNECTIONS + MAX_TURNED_AWAY
"""Connections of one of the two servers at one time: so many descriptors are kept for it."""

__all__ = [
    "MOST_CONNECTIONS",
    "ControlError",
    "ControlServer",
    "HttpServer",
    "HttpSettings",
    "Metrics",
    "Readiness",
    "flush",
    "readiness",
    "reload",
    "stats",
]
