"""What an administrator asks the daemon: the HTTP endpoint, the control socket, and the numbers behind both.

``HttpServer`` serves the pages for monitors and browsers, ``ControlServer`` the commands of an administrator, which
``Console`` answers; ``ask``, ``flush``, ``reload`` and ``stats`` are its client. ``Metrics`` reads what the parts of
the daemon have counted, ``StatusReport`` has the state of the moment, and ``page`` makes HTML of it.
``request_server`` is the server under both: one request, one response, one connection.
"""

from vmaild.admin.bearer import token_problem
from vmaild.admin.console import Console, as_json, server_errors
from vmaild.admin.control import ControlError, ControlServer, UsageError, ask, flush, reload, stats
from vmaild.admin.feed_metrics import FeedMetrics
from vmaild.admin.http import HttpServer, Readiness, readiness
from vmaild.admin.http_settings import HttpSettings
from vmaild.admin.metrics import Metrics
from vmaild.admin.page import html
from vmaild.admin.request_server import MAX_CONNECTIONS, MAX_TURNED_AWAY
from vmaild.admin.status import StatusReport

MOST_CONNECTIONS = MAX_CONNECTIONS + MAX_TURNED_AWAY
"""Connections of one of the two servers at one time: so many descriptors are kept for it."""

__all__ = [
    "MOST_CONNECTIONS",
    "Console",
    "ControlError",
    "ControlServer",
    "FeedMetrics",
    "HttpServer",
    "HttpSettings",
    "Metrics",
    "Readiness",
    "StatusReport",
    "UsageError",
    "as_json",
    "ask",
    "flush",
    "html",
    "readiness",
    "reload",
    "server_errors",
    "stats",
    "token_problem",
]
