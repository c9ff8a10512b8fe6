"""The pages over TLS: what a client sees, and what one that speaks it badly costs."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.admin.test_http import get, read_to_end, serving, status_of
from tests.directory.certificates import Authority
from tests.support.loops import SECONDS, on_each_loop
from vmaild.admin.http_settings import HttpSettings
from vmaild.listening import ServerCertificate, UnixAddress, acceptor, read_certificate

REQUEST = get("/metrics") + b"\r\n\r\n"


@pytest.fixture(scope="module")
def authority(service_home: Path) -> Authority:
    return Authority(service_home)


@pytest.fixture(scope="module")
def certificate(authority: Authority) -> ServerCertificate:
    return read_certificate(*authority.issue("/CN=localhost", "DNS:localhost"))


@pytest.fixture
def trusting(authority: Authority) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=authority.ca)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


@contextlib.asynccontextmanager
async def connected(server: Any, context: ssl.SSLContext | None) -> AsyncIterator[tuple[Any, ...]]:
    """A connection to the server: over TLS, or plain without a context."""
    address = server.addresses[0]
    name = "localhost" if context else None
    if isinstance(address, UnixAddress):
        reader, writer = await asyncio.open_unix_connection(address.path, ssl=context, server_hostname=name)
    else:
        reader, writer = await asyncio.open_connection(address.host, address.port, ssl=context, server_hostname=name)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def fetch(server: Any, context: ssl.SSLContext | None, request: bytes = REQUEST) -> bytes:
    async with connected(server, context) as (reader, writer):
        writer.write(request)
        return await read_to_end(reader)  # type: ignore[no-any-return]


async def peer(server: Any, context: ssl.SSLContext) -> bytes:
    """The certificate that the server shows now."""
    async with connected(server, context) as (_, writer):
        return writer.get_extra_info("ssl_object").getpeercert(binary_form=True)  # type: ignore[no-any-return]


@on_each_loop
async def test_a_page_is_whole_and_the_connection_ends_as_tls_has_it(
    certificate: ServerCertificate, trusting: ssl.SSLContext, tmp_path: Path
) -> None:
    body = b"m 1\n" * 200_000
    for address in (None, UnixAddress(str(tmp_path / "pages"))):
        async with serving(address, certificate=certificate, metrics=lambda: body) as server:
            # A stream that ends without close_notify raises SSLError in the reader.
            response = await fetch(server, trusting)
        assert response.endswith(b"\r\n\r\n" + body)


@on_each_loop
async def test_what_follows_a_request_does_not_cost_the_response(
    certificate: ServerCertificate, trusting: ssl.SSLContext
) -> None:
    async with serving(certificate=certificate) as server:
        assert status_of(await fetch(server, trusting, REQUEST + b"x" * 100_000)) == 200


@on_each_loop
async def test_a_client_without_tls_gets_nothing_and_others_are_served(
    certificate: ServerCertificate, trusting: ssl.SSLContext
) -> None:
    async with serving(certificate=certificate) as server:
        assert b"m 1" not in await fetch(server, None)
        assert status_of(await fetch(server, trusting)) == 200


@on_each_loop
async def test_old_versions_of_tls_are_refused(certificate: ServerCertificate, trusting: ssl.SSLContext) -> None:
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        trusting.maximum_version = ssl.TLSVersion.TLSv1_1
    trusting.set_ciphers("DEFAULT:@SECLEVEL=0")
    async with serving(certificate=certificate) as server:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await fetch(server, trusting)


@on_each_loop
async def test_a_client_that_begins_no_handshake_holds_its_place_until_the_deadline_only(
    certificate: ServerCertificate, trusting: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acceptor, "HANDSHAKE", 0.3)
    async with serving(certificate=certificate, max_connections=1, deadline=0.3) as server:
        # One for each place, those of the turned away, and some who wait for one.
        silent = [await asyncio.open_connection("127.0.0.1", server.addresses[0].port) for _ in range(12)]
        for _ in range(500):
            with contextlib.suppress(OSError):
                if b" 200 " in await fetch(server, trusting):
                    break
            await asyncio.sleep(0.01)
        else:
            pytest.fail("no place was ever free again")
        for _, writer in silent:
            writer.close()


@on_each_loop
async def test_closing_does_not_wait_for_handshakes(
    certificate: ServerCertificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acceptor, "HAND_OVER", 0.05)
    monkeypatch.setattr(acceptor, "HANDSHAKE", SECONDS * 2)
    async with serving(certificate=certificate) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.addresses[0].port)
        while not server._server._open:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert await read_to_end(reader) == b""
    writer.close()


@on_each_loop
async def test_too_many_are_told_so(certificate: ServerCertificate, trusting: ssl.SSLContext) -> None:
    async with serving(certificate=certificate, max_connections=1) as server, connected(server, trusting):
        response = await fetch(server, trusting, b"")
    assert status_of(response) == 503


@on_each_loop
async def test_another_certificate_and_token_are_used_on_the_same_socket(
    authority: Authority, certificate: ServerCertificate, trusting: ssl.SSLContext
) -> None:
    other = read_certificate(*authority.issue("/CN=localhost", "DNS:localhost"))
    async with serving(certificate=certificate) as server:
        address = server.addresses
        before = await peer(server, trusting)
        async with connected(server, trusting) as (reader, writer):
            settings = HttpSettings(server.settings.address, certificate=other, token="0123456789abcdef")
            assert server.can_follow(settings)
            server.follow(settings)
            assert server.addresses == address
            # What is open has shown no token, and its request comes now.
            writer.write(REQUEST)
            assert status_of(await read_to_end(reader)) == 401
        assert await peer(server, trusting) != before
        shown = get("/metrics", fields="Host: a\r\nAuthorization: Bearer 0123456789abcdef") + b"\r\n\r\n"
        assert status_of(await fetch(server, trusting, shown)) == 200
        server.follow(HttpSettings(server.settings.address))
        assert status_of(await fetch(server, None)) == 200


def test_other_files_or_another_owner_need_another_socket() -> None:
    async def tell() -> None:
        async with serving() as server:
            same = server.settings
            assert server.can_follow(same)
            assert not server.can_follow(HttpSettings("inet:127.0.0.1:1"))
            assert not server.can_follow(HttpSettings(same.address, mode=0o600))

    asyncio.run(tell())
