"""A stream to a server of the configuration: the same address, bind and TLS as for searches.

Password and certificate files are read for each stream (``secrets``).
"""

from __future__ import annotations

from collections.abc import Mapping

from vmaild.directory.secrets import Secrets
from vmaild.directory.settings import DirectorySettings
from vmaild.directory.sync_context import ReadEntry
from vmaild.directory.sync_requests import Bind
from vmaild.directory.sync_stream import SyncStream
from vmaild.directory.uri import parse


async def open_stream(uri: str, settings: DirectorySettings) -> SyncStream:
    """A bound stream to ``uri``, within ``connect_timeout``. Raises what ``SyncStream.open`` raises."""
    endpoint = parse(uri)
    secrets = Secrets(settings, encrypted=settings.encrypts(endpoint))
    how = secrets.credentials()
    return await SyncStream.open(
        endpoint,
        Bind(how.mechanism, how.name or "", how.password or ""),
        secrets.context(),
        start_tls=endpoint.scheme == "ldap" and settings.start_tls,
        seconds=settings.connect_timeout,
    )


def reader(stream: SyncStream, settings: DirectorySettings) -> ReadEntry:
    """Reads single entries on ``stream``, before its search."""

    async def read(name: str, attributes: tuple[str, ...]) -> Mapping[str, tuple[bytes, ...]] | None:
        entry = await stream.read_entry(name, *attributes, seconds=settings.connect_timeout)
        return None if entry is None else entry.attributes

    return read
