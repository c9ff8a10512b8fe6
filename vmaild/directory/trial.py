"""What an account may write, asked of the server itself by changes that it judges and does not make.

One connection, vmaild's own LDAP (``sync_open``), for ``vmaild audit --as``. Should a server make a change in spite of
the control, nothing more is sent.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from typing import cast

from vmaild.directory import tls
from vmaild.directory.ber import UNBIND
from vmaild.directory.failures import BROKEN, CREDENTIALS, TIMEOUT, UNAVAILABLE
from vmaild.directory.settings import DirectorySettings
from vmaild.directory.sync_ber import BadMessage, header
from vmaild.directory.sync_open import connect
from vmaild.directory.sync_requests import Bind, bind_request
from vmaild.directory.trial_requests import SUCCESS, UNKNOWN_CONTROL, Change, result, trial
from vmaild.directory.uri import parse
from vmaild.errors import DirectoryFailure


class TrialError(Exception):
    """The server cannot be asked in this way. The text says why, and what it may have done."""


async def tried(settings: DirectorySettings, uri: str, changes: Sequence[Change]) -> list[int]:
    """The result code of each of ``changes`` for the account that ``settings`` bind as.

    Raises ``DirectoryFailure`` when the server cannot be asked, ``TrialError`` when it does not know the control.
    """
    context = _context(settings, uri)
    start_tls = settings.start_tls and uri.startswith("ldap:")
    try:
        stream = await connect(parse(uri), context, _Answers, start_tls=start_tls, seconds=settings.connect_timeout)
    except TimeoutError:
        raise DirectoryFailure("no connection in time", TIMEOUT) from None
    except (OSError, ValueError) as error:
        raise DirectoryFailure(f"cannot connect: {error}", UNAVAILABLE) from None
    try:
        bind = Bind("SIMPLE", settings.bind_dn, settings.bind_pw)
        if code := await stream.ask(bind_request(1, bind), 1, settings.timeout):
            raise DirectoryFailure(f"LDAP result {code}", CREDENTIALS)
        return [await _one(stream, number, change, settings.timeout) for number, change in enumerate(changes, 2)]
    finally:
        stream.close()


async def _one(stream: _Answers, number: int, change: Change, seconds: float) -> int:
    code = await stream.ask(trial(number, change), number, seconds)
    if code == UNKNOWN_CONTROL:
        raise TrialError("the server does not know the No-Op control (OpenLDAP does): nothing was tried")
    if code == SUCCESS:
        raise TrialError(f"the server made a change that it was asked not to make: check {change.dn}: {change!r}")
    return code


def _context(settings: DirectorySettings, uri: str) -> ssl.SSLContext | None:
    if not settings.encrypts(parse(uri)):
        return None
    return tls.context(
        ca_file=settings.tls_ca_cert_file,
        ca_dir=settings.tls_ca_cert_dir,
        cert=settings.tls_cert,
        key=settings.tls_key,
        require_cert=settings.tls_require_cert,
    )


class _Answers(asyncio.Protocol):
    """Sends one request at a time, and waits for its answer."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._data = bytearray()
        self._message = 0
        self._answer: asyncio.Future[int] | None = None

    async def ask(self, request: bytes, message: int, seconds: float) -> int:
        """The result code of ``request``, whose id is ``message``. Raises ``DirectoryFailure``."""
        if self._transport is None:
            raise DirectoryFailure("the server closed the connection", BROKEN)
        self._message = message
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        try:
            return await asyncio.wait_for(self._answer, seconds)
        except TimeoutError:
            raise DirectoryFailure("no answer in time", TIMEOUT) from None

    def close(self) -> None:
        """End the connection."""
        if self._transport is not None:
            self._transport.write(UNBIND)
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._fail("the server closed the connection")

    def data_received(self, data: bytes) -> None:
        self._data += data
        try:
            while (place := header(self._data)) and len(self._data) >= place[1]:
                message = bytes(self._data[: place[1]])
                del self._data[: place[1]]
                code = result(message, place[0], self._message)
                if code is not None and self._answer is not None and not self._answer.done():
                    self._answer.set_result(code)
        except BadMessage as error:
            self._fail(str(error))

    def _fail(self, text: str) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(DirectoryFailure(text, BROKEN))
