"""What clients may do at their worst, in numbers, under both loops."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from tests.server.conftest import ask, ok, until
from vmaild.listening import InetAddress
from vmaild.lookup import found

REQUESTS = 10_000
CONNECTIONS = 20_000


@pytest.mark.parametrize(
    ("listener", "question", "answer"),
    [(0, ask(b"cached"), ok(b"c")), (1, ask(b"a"), ok(b"v:a")), (2, b"get a\n", b"200 v:a\n")],
)
async def test_ten_thousand_requests_in_one_write_are_all_answered_in_order(
    site: Any, listener: int, question: Any, answer: Any
) -> None:
    site.lookups.store(b"map cached", found(b"c"))
    client = await site.client(listener)
    client.send(question * REQUESTS)
    await client.expect(answer * REQUESTS)


@pytest.mark.parametrize("listener", [0, 1])
async def test_a_half_closed_client_gets_ten_thousand_answers_and_then_the_end(site: Any, listener: int) -> None:
    client = await site.client(listener)
    client.send(ask(b"a") * REQUESTS)
    client.writer.write_eof()
    assert await client.rest() == ok(b"v:a") * REQUESTS


@pytest.mark.slow
async def test_twenty_thousand_clients_that_come_and_go_leave_nothing_behind(new_site: Any) -> None:
    site = await new_site(max_connections=50)
    address = site.server.addresses[0]
    assert isinstance(address, InetAddress)

    def come_and_go(number: int) -> None:
        for n in range(CONNECTIONS // 4):
            with socket.create_connection((address.host, address.port), timeout=20) as client:
                if n % 4 == number:
                    client.sendall(ask(b"a")[: n % 7])

    await asyncio.gather(*(asyncio.to_thread(come_and_go, number) for number in range(4)))
    await until(lambda: site.server.connections == site.server._admission._coming == 0)
    # One that has gone before it was accepted may not count.
    assert CONNECTIONS * 0.9 < site.server.counters.accepted <= CONNECTIONS
    assert not site.server._admission.patience._incomplete
    client = await site.client()
    await client.ask(ask(b"a"), ok(b"v:a"))
