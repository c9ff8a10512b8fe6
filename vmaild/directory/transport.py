"""The way to one server: directly, or through the relay; and from there to a bound connection.

Directly go ``ldapi://`` and plain ``ldap://`` on loopback, after a check whether the server answers. Everything
else goes through the relay: remote servers, StartTLS and ``ldaps://``.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path

from vmaild.directory.connection import LdapConnection
from vmaild.directory.dial import answers
from vmaild.directory.failures import BROKEN, CERTIFICATE, REFUSED, TIMEOUT, UNAVAILABLE
from vmaild.directory.relay import passage
from vmaild.directory.secrets import Secrets
from vmaild.directory.settings import DirectorySettings
from vmaild.directory.uri import Endpoint
from vmaild.errors import DirectoryFailure


class Transport:
    """Makes connections of ``kind`` to ``endpoint``. ``directory`` is a private one for the relay's sockets.

    Raises ``OSError`` (with ssl's errors) when certificate files cannot be used.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        settings: DirectorySettings,
        directory: Path,
        clock: Callable[[], float],
        kind: type[LdapConnection] = LdapConnection,
    ) -> None:
        self._kind = kind
        self._endpoint = endpoint
        self._directory = directory
        self._clock = clock
        self._seconds = settings.connect_timeout
        self._bounds = settings.max_answer, settings.max_values
        self._start_tls = endpoint.scheme == "ldap" and settings.start_tls
        self._encrypts = settings.encrypts(endpoint)
        self._secrets = Secrets(settings, encrypted=self._encrypts)

    @property
    def is_direct(self) -> bool:
        """True when no relay is needed."""
        return self._endpoint.is_local and not self._encrypts

    async def connect(self) -> LdapConnection:
        """A bound connection. The caller bounds the time as a whole. Raises ``DirectoryFailure``."""
        connection = await self._connect()
        connection.max_answer, connection.max_values = self._bounds
        return connection

    async def _connect(self) -> LdapConnection:
        try:
            if self.is_direct:
                address = await answers(self._endpoint, self._seconds)
                return await self._kind.open(address, self._secrets.credentials(), self._clock)
            way = passage(
                self._endpoint,
                self._secrets.context(),
                start_tls=self._start_tls,
                directory=self._directory,
                seconds=self._seconds,
            )
            async with way as address:
                return await self._kind.open(address, self._secrets.credentials(), self._clock)
        except (OSError, ValueError) as error:
            raise _failure(error) from None


def _failure(error: OSError | ValueError) -> DirectoryFailure:
    if isinstance(error, TimeoutError):
        return DirectoryFailure("no connection in time", TIMEOUT)
    if isinstance(error, ssl.SSLCertVerificationError):
        return DirectoryFailure(f"certificate: {error.verify_message}", CERTIFICATE)
    if isinstance(error, ssl.SSLError):
        return DirectoryFailure(f"TLS: {error.reason}", REFUSED)
    if isinstance(error, OSError):
        return DirectoryFailure(f"cannot connect: {error}", UNAVAILABLE)
    return DirectoryFailure(f"no LDAP server answers there: {error}", BROKEN)
