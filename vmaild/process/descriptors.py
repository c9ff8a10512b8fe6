"""The open files that the system allows one process (RLIMIT_NOFILE), and how many of them clients may have.

A daemon without a free descriptor cannot reach its directory again, nor be asked why. So what the directory, the
pages and the control socket need is kept back from the clients.
"""

from __future__ import annotations

import logging
import resource

logger = logging.getLogger("vmaild.process")

PROCESS = 32
"""Kept for the process itself: standard streams, the event loop, listeners, the watchdog, files read at start."""

PER_SERVER = 8
"""Kept for each directory server beside its pool: checks, a connection being replaced, name service."""

PER_CONNECTION = 4
"""Of one LDAP connection through the relay: bonsai's end, the relay's two, and one while it is set up."""

LEAST_SHARE = 4
"""Clients get at least one of so many descriptors, however few there are."""


def raise_limit() -> int:
    """Raise the soft limit to the hard one, where that is allowed; returns the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == hard:
        return soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):
        # systemd's unit forbids the call and sets both limits itself; some systems have a lower limit of their own.
        return soft
    return hard


def kept_back(servers: int, pool_size: int, admin_connections: int) -> int:
    """Descriptors that clients may not have."""
    return PROCESS + servers * (PER_SERVER + pool_size * PER_CONNECTION) + admin_connections


def for_clients(wanted: int, limit: int, kept: int) -> int:
    """How many clients there may be at one time: ``wanted``, or as many as ``limit`` leaves. Logs when it is fewer."""
    allowed = max(limit - kept, limit // LEAST_SHARE)
    if allowed < wanted:
        logger.warning(
            "max_connections is %d instead of %d: the process may have %d open files (LimitNOFILE, ulimit -n),"
            " of which %d are kept for the directory, the pages and the control socket",
            *(allowed, wanted, limit, limit - allowed),
        )
    return min(wanted, allowed)
