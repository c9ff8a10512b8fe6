"""The HTTP endpoint: what it says to whom, and what no client can do to it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
from collections.abc import AsyncIterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CONTENT_TYPE_LATEST

from tests.support.loops import SECONDS, on_each_loop
from vmaild.admin.http import MAX_REQUEST, HttpProtocol, HttpServer, Readiness, parse_request, readiness
from vmaild.admin.http_settings import HttpSettings
from vmaild.listening import Access, InetAddress, UnixAddress, bind_inet, parse_networks

EPOCH_DATE = b"Date: Thu, 01 Jan 1970 00:00:00 GMT"


def protocol(metrics: Any = lambda: b"vmaild_up 1\n", ready: Any = lambda: Readiness(True, "yes")) -> Any:
    return HttpProtocol(metrics, ready, clock=lambda: 0.0)


def get(path: Any, method: str = "GET", version: str = "1.1", fields: str = "Host: localhost") -> Any:
    return f"{method} {path} HTTP/{version}\r\n{fields}".encode()


def status_of(response: Any) -> Any:
    return int(response.split(b" ", 2)[1])


def test_a_response_is_whole_and_says_that_the_connection_ends() -> None:
    assert protocol().answer(get("/health")) == (
        b"HTTP/1.1 200 OK\r\n" + EPOCH_DATE + b"\r\nContent-Type: text/plain; charset=utf-8\r\n"
        b"Content-Length: 12\r\nCache-Control: no-store\r\nConnection: close\r\n\r\nvmaild runs\n"
    )


def test_metrics_have_the_content_type_of_the_exposition_format() -> None:
    head, _, body = protocol().answer(get("/metrics")).partition(b"\r\n\r\n")
    assert body == b"vmaild_up 1\n"
    assert f"Content-Type: {CONTENT_TYPE_LATEST}".encode() in head.split(b"\r\n")


@pytest.mark.parametrize("path", ["/metrics", "/health", "/ready", "/absent"])
def test_head_has_the_fields_of_get_and_no_body(path: str) -> None:
    got = protocol().answer(get(path))
    assert protocol().answer(get(path, "HEAD")) == got.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"


def test_readiness_is_the_status_and_its_reason_the_body() -> None:
    assert status_of(protocol().answer(get("/ready"))) == 200
    response = protocol(ready=lambda: Readiness(False, "all servers are down")).answer(get("/ready"))
    assert status_of(response) == 503
    assert response.endswith(b"\r\n\r\nall servers are down\n")


@pytest.mark.parametrize(
    ("directory_ready", "cached", "ready"), [(True, 0, True), (True, 5, True), (False, 5, True), (False, 0, False)]
)
def test_ready_means_that_some_lookup_can_be_answered(directory_ready: bool, cached: int, ready: bool) -> None:
    assert readiness(directory_ready=directory_ready, cached_records=cached).ready is ready


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (get("/"), 404),
        (get("/metrics/"), 404),
        (get("/METRICS"), 404),
        (get("/absent", "POST"), 404),
        (get("/metrics", "POST"), 405),
        (get("/health", "DELETE"), 405),
        (get("/health", "get"), 405),
        (get("*", "OPTIONS"), 404),
        (get("/metrics?name=x"), 200),
        (get("http://localhost:9143/metrics"), 200),
        (get("/health", version="1.0", fields="Accept: */*"), 200),
        (b"GET /health HTTP/1.0", 200),
        (b"\r\nGET /health HTTP/1.0", 200),
        (get("/health", fields="Host: a\r\nX-Empty:\r\nAccept:  text/plain ;q=0.5"), 200),
        (get("/health", fields="hOST: a"), 200),
        (b"GET /health HTTP/1.1", 400),
        (get("/health", fields="Host: a\r\nAuthorization: Bearer a\r\nauthorization: Bearer b"), 400),
        (get("/health", fields="Accept: */*"), 400),
        (get("/health", fields="Host: a\r\nHost: b"), 400),
        (get("/health", fields="Host : a"), 400),
        (get("/health", fields="Host: a\r\n folded"), 400),
        (get("/health", fields="Host: a\nX: b"), 400),
        (get("/health", version="2.0"), 400),
        (get("/health", version="1.10"), 400),
        (b"GET /health", 400),
        (b"GET  /health HTTP/1.0", 400),
        (b"GET /hea lth HTTP/1.0", 400),
        (b"G\xffT /health HTTP/1.0", 400),
        (b"GET /health\x00 HTTP/1.0", 400),
        (b"", 400),
        (b"\x16\x03\x01\x02\x00\x01", 400),
    ],
)
def test_each_request_has_its_status(request_bytes: Any, status: int) -> None:
    assert status_of(protocol().answer(request_bytes)) == status


def test_a_refused_method_is_told_which_are_allowed() -> None:
    assert b"\r\nAllow: GET, HEAD\r\n" in protocol().answer(get("/metrics", "PUT"))


def test_a_request_is_read_as_method_and_path() -> None:
    assert parse_request(get("/ready?verbose=1", "HEAD")) == ("HEAD", "/ready", "")
    request = get("/ready", fields="Host: a\r\nauthorization:  Bearer x")
    assert parse_request(request) == ("GET", "/ready", "Bearer x")


@contextlib.asynccontextmanager
async def serving(address: Any = None, inherited: Any = None, **options: Any) -> AsyncIterator[Any]:
    """A server on a free port of loopback, or at ``address``."""
    options = {"metrics": lambda: b"m 1\n", "ready": lambda: Readiness(True, "yes")} | options
    names = [field.name for field in fields(HttpSettings) if field.name in options]
    settings = HttpSettings(str(address or "inet:127.0.0.1:0"), **{name: options.pop(name) for name in names})
    server = HttpServer(settings, **options)
    await server.start(inherited)
    try:
        yield server
    finally:
        await server.close()


async def connect(server: Any) -> Any:
    address = server.addresses[0]
    if isinstance(address, UnixAddress):
        return await asyncio.open_unix_connection(address.path)
    return await asyncio.open_connection(address.host, address.port)


async def fetch(server: Any, *pieces: Any) -> Any:
    """The whole response to a request that is sent in ``pieces``."""
    reader, writer = await connect(server)
    with contextlib.suppress(ConnectionError):
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
    response = await read_to_end(reader)
    writer.close()
    return response


async def read_to_end(reader: Any) -> Any:
    """What arrives until the connection ends, in whichever way."""
    received = b""
    with contextlib.suppress(ConnectionError):
        while chunk := await reader.read(65536):
            received += chunk
    return received


@on_each_loop
async def test_a_request_is_answered_over_tcp_and_over_a_unix_socket(tmp_path: Path) -> None:
    for address in (InetAddress("127.0.0.1", 0), UnixAddress(str(tmp_path / "http"))):
        async with serving(address) as server:
            response = await fetch(server, get("/metrics"), b"\r\n\r\n")
        assert response.startswith(b"HTTP/1.1 200 OK\r\n")
        assert response.endswith(b"\r\n\r\nm 1\n")


@on_each_loop
@pytest.mark.parametrize("held_back", [1, 2, 3, 4, 20])
async def test_a_request_in_two_pieces_is_answered(held_back: int) -> None:
    request = get("/health") + b"\r\n\r\n"
    async with serving() as server:
        reader, writer = await connect(server)
        writer.write(request[:-held_back])
        # By the time that another request is answered, the first piece has been read.
        await fetch(server, request)
        writer.write(request[-held_back:])
        assert status_of(await read_to_end(reader)) == 200
        writer.close()


@on_each_loop
async def test_a_connection_carries_one_request_only() -> None:
    asked = []

    def metrics() -> bytes:
        asked.append(1)
        return b""

    request = get("/metrics") + b"\r\n\r\n"
    async with serving(metrics=metrics) as server:
        reader, writer = await connect(server)
        writer.write(request + request)
        assert (await read_to_end(reader)).count(b"HTTP/1.1 ") == 1
        writer.write(request)
        await fetch(server, get("/health") + b"\r\n\r\n")
        writer.close()
    assert len(asked) == 1


@on_each_loop
async def test_a_body_that_follows_does_not_cost_the_response() -> None:
    async with serving() as server:
        response = await fetch(server, get("/metrics", "POST"), b"\r\n\r\n", b"x" * 500_000)
    assert status_of(response) == 405


@on_each_loop
async def test_a_request_over_the_limit_is_answered_431() -> None:
    filler = b"X: " + b"y" * MAX_REQUEST
    async with serving() as server:
        response = await fetch(server, get("/metrics"), b"\r\n", filler, b"\r\n\r\n")
    assert status_of(response) == 431


@on_each_loop
async def test_a_request_of_exactly_the_limit_is_answered() -> None:
    start = get("/metrics") + b"\r\nX: "
    request = start + b"y" * (MAX_REQUEST - len(start) - 4) + b"\r\n\r\n"
    async with serving() as server:
        assert status_of(await fetch(server, request)) == 200
        assert status_of(await fetch(server, request.replace(b"X: ", b"X:  "))) == 431


@on_each_loop
async def test_a_request_that_fills_the_limit_without_an_end_is_refused_at_once() -> None:
    async with serving(deadline=SECONDS * 2) as server:
        assert status_of(await fetch(server, b"x" * MAX_REQUEST)) == 431


@on_each_loop
async def test_a_silent_client_is_cut_at_the_deadline() -> None:
    async with serving(deadline=0.05) as server:
        reader, writer = await connect(server)
        writer.write(b"GET /health HT")
        assert await read_to_end(reader) == b""
        writer.close()


@on_each_loop
async def test_a_client_that_does_not_close_holds_its_place_until_the_deadline_only() -> None:
    async with serving(deadline=0.3, max_connections=1) as server:
        reader, writer = await connect(server)
        writer.write(get("/health") + b"\r\n\r\n")
        assert status_of(await read_to_end(reader)) == 200
        assert status_of(await fetch(server)) == 503
        for _ in range(500):
            if b" 200 " in await fetch(server, get("/health"), b"\r\n\r\n"):
                break
            await asyncio.sleep(0.01)
        else:
            pytest.fail("its place was never free again")
        writer.close()


@on_each_loop
async def test_connections_over_the_limit_are_answered_503_and_the_others_are_served() -> None:
    async with serving(max_connections=2) as server:
        held = [await connect(server) for _ in range(2)]
        refusal = await fetch(server)
        assert status_of(refusal) == 503
        assert refusal.endswith(b"too many connections\n")
        for reader, writer in held:
            writer.write(get("/health") + b"\r\n\r\n")
            assert status_of(await read_to_end(reader)) == 200
            writer.close()


@on_each_loop
async def test_a_page_that_cannot_be_made_is_500_and_logged_and_the_server_lives(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken() -> None:
        raise RuntimeError("secret detail")

    async with serving(metrics=broken) as server:
        response = await fetch(server, get("/metrics"), b"\r\n\r\n")
        assert status_of(response) == 500
        assert b"secret" not in response
        assert "secret detail" in caplog.text
        assert status_of(await fetch(server, get("/health"), b"\r\n\r\n")) == 200


@on_each_loop
async def test_a_socket_held_by_systemd_is_used_and_a_strange_one_left() -> None:
    held = bind_inet(InetAddress("127.0.0.1", 0))
    strange = bind_inet(InetAddress("127.0.0.1", 0))
    inherited = held + strange
    address = InetAddress("127.0.0.1", held[0].getsockname()[1])
    async with serving(address, inherited) as server:
        assert inherited == strange
        assert server.addresses == (address,)
        assert status_of(await fetch(server, get("/health"), b"\r\n\r\n")) == 200
    strange[0].close()


@on_each_loop
async def test_closing_cuts_open_connections_and_removes_the_socket_file(tmp_path: Path) -> None:
    path = tmp_path / "http"
    async with serving(UnixAddress(str(path)), deadline=SECONDS * 2) as server:
        reader, writer = await connect(server)
        writer.write(b"GET")
        # Answered only after the first connection was accepted.
        await fetch(server, get("/health"), b"\r\n\r\n")
    assert await read_to_end(reader) == b""
    assert list(tmp_path.iterdir()) == []
    writer.close()


@on_each_loop
async def test_a_unix_socket_has_the_mode_and_owner_asked_for(service_home: Path) -> None:
    path = service_home / "pages"
    async with serving(UnixAddress(str(path)), mode=0o620, owner=str(os.getuid()), group=str(os.getgid())) as server:
        assert stat.S_IMODE(path.stat().st_mode) == 0o620
        assert status_of(await fetch(server, get("/health") + b"\r\n\r\n")) == 200
    assert not path.exists()


@on_each_loop
async def test_who_is_not_allowed_gets_no_page() -> None:
    async with serving(access=Access(parse_networks(["192.0.2.0/24"]))) as server:
        assert await fetch(server, get("/health") + b"\r\n\r\n") == b""
        assert server._server.denied_connections == 1
