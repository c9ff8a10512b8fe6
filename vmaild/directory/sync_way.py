"""A stream to a server of the configuration: the same address, bind and TLS as for searches.

``Way`` keeps password and certificates from one stream to the next: they are read again when their files have changed
(``secrets``), and only then, since reading a system's CAs holds the loop for tens of milliseconds.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from vmaild.directory.failures import BROKEN, LIMIT, NO_BASE, REFUSED, UNAVAILABLE
from vmaild.directory.secrets import Secrets
from vmaild.directory.settings import DirectorySettings
from vmaild.directory.sync_context import ReadEntry
from vmaild.directory.sync_requests import ONE, Bind, SyncSearch, present
from vmaild.directory.sync_stream import NO_SUCH_OBJECT, Refused, SyncStream
from vmaild.directory.uri import parse
from vmaild.errors import DirectoryFailure
from vmaild.lookup import Entry, Search

_KINDS = {3: LIMIT, 4: LIMIT, 11: LIMIT, NO_SUCH_OBJECT: NO_BASE, 50: REFUSED}
"""Of LDAP results (RFC 4511, appendix A), those that say more than that the server cannot at present."""


class Way:
    """The way to any of the servers of ``settings``."""

    def __init__(self, settings: DirectorySettings) -> None:
        self._settings = settings
        self._secrets: dict[bool, Secrets] = {}

    async def open(self, uri: str) -> SyncStream:
        """A bound stream to ``uri``, within ``connect_timeout``. Raises what ``SyncStream.open`` raises."""
        settings, endpoint = self._settings, parse(uri)
        encrypted = settings.encrypts(endpoint)
        if encrypted not in self._secrets:
            self._secrets[encrypted] = Secrets(settings, encrypted=encrypted)
        secrets = self._secrets[encrypted]
        how = secrets.credentials()
        return await SyncStream.open(
            endpoint,
            Bind(how.mechanism, how.name or "", how.password or ""),
            secrets.context(),
            start_tls=endpoint.scheme == "ldap" and settings.start_tls,
            seconds=settings.connect_timeout,
        )

    async def below(self, uri: str, search: Search) -> AsyncIterator[Entry]:
        """All entries one level below ``search.base``, one by one, on a connection for that alone.

        There may be 50,000: a pool's bounds are for the answer to one key, and it reads an answer without a pause.
        The caller bounds the time. Raises ``DirectoryFailure``.
        """
        wanted = SyncSearch(search.base, present("objectClass"), search.attributes, scope=ONE)
        try:
            stream = await self.open(uri)
            try:
                async for entry in stream.entries(wanted):
                    yield Entry(entry.dn, entry.attributes or {})
            finally:
                stream.close()
        except Refused as refused:
            raise DirectoryFailure(str(refused), _KINDS.get(refused.code, UNAVAILABLE)) from None
        except OSError as error:
            raise DirectoryFailure(str(error) or type(error).__name__, UNAVAILABLE) from None
        except ValueError as error:
            raise DirectoryFailure(str(error), BROKEN) from None


def reader(stream: SyncStream, settings: DirectorySettings) -> ReadEntry:
    """Reads single entries on ``stream``, before its search."""

    async def read(name: str, attributes: tuple[str, ...]) -> Mapping[str, tuple[bytes, ...]] | None:
        entry = await stream.read_entry(name, *attributes, seconds=settings.connect_timeout)
        return None if entry is None else entry.attributes

    return read
