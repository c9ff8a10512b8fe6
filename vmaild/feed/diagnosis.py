"""What a server offers for following changes, and which lines are missing in slapd's configuration: for ``check``.

Nothing is changed on the server: the state of the database is read, and a stream opened for a moment.
"""

from __future__ import annotations

import asyncio

from vmaild.directory import (
    Context,
    DirectorySettings,
    Persisting,
    Refused,
    StreamEnded,
    SyncSearch,
    SyncStream,
    Way,
    present,
    read_context,
    reader,
)
from vmaild.directory.examine import Finding, Level

SECONDS = 5.0
"""For one server as a whole."""

_OVERLAY = "  moduleload syncprov  |  below the database: overlay syncprov, syncprov-checkpoint 100 10"
_ACCESS = '  access to dn.base="{suffix}" attrs=entry,contextCSN by dn.exact="{who}" read by * break'
_INDEX = "  for polling: index entryCSN,entryUUID eq"


async def describe(uri: str, settings: DirectorySettings) -> list[Finding]:
    """What the administrator should know; nothing when the server cannot be asked (``examine`` tells why)."""
    try:
        async with asyncio.timeout(SECONDS):
            return await _describe(uri, settings)
    except (OSError, ValueError, Refused):  # TimeoutError is one
        return []


async def _describe(uri: str, settings: DirectorySettings) -> list[Finding]:
    stream = await Way(settings).open(uri)
    try:
        context = await read_context(reader(stream, settings), settings.search_base)
        if context.cookie is None:
            why = "no contextCSN can be seen" if context.suffix else "its root DSE names no database for search_base"
            access = _ACCESS.format(suffix=context.suffix or "SUFFIX", who=settings.bind_dn or "anonymous")
            text = f"changes do not arrive, answers live for ttl ({why}); add to slapd:"
            return [Finding(uri, Level.WARNING, line) for line in (text, _OVERLAY, access, _INDEX)]
        code = await _try(stream, context, settings) if context.offers_sync else None
        if code == 0:
            return [Finding(uri, Level.OK, "changes arrive as they happen (sync)")]
        why = "syncprov is not loaded" if code is None else f"the stream was refused with LDAP result {code}"
        text = f"changes are polled once a second: {why}; add to slapd:"
        return [Finding(uri, Level.WARNING, line) for line in (text, _OVERLAY, _INDEX)]
    finally:
        stream.close()


async def _try(stream: SyncStream, context: Context, settings: DirectorySettings) -> int:
    """Open a stream: 0 when it is offered, else the LDAP result."""
    assert context.cookie is not None
    stream.search(SyncSearch(settings.search_base, present("objectClass"), ("1.1",), context.cookie), context.suffix)
    async for output in stream:
        if isinstance(output, Persisting):
            return 0
        if isinstance(output, StreamEnded):
            return output.code
    return -1
