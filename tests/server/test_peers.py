"""Whose share of the lookups a client takes."""

from __future__ import annotations

import gc

import pytest

from tests.server.conftest import FakeLookups
from vmaild.server.context import Context


@pytest.fixture
async def context() -> Context:
    return Context(FakeLookups(lambda: 0.0), lambda: 0.0, max_connections=10, max_pipelined=1)


async def test_all_connections_of_another_machine_share_one(context: Context) -> None:
    first = context.peer_of(("192.0.2.1", 1000))
    assert context.peer_of(("192.0.2.1", 1001)) is first
    assert context.peer_of(("2001:db8::1", 1000, 0, 0)) is not first


@pytest.mark.parametrize(
    "address", [("127.0.0.1", 5), ("127.8.8.8", 5), ("::1", 5, 0, 0), ("::ffff:127.0.0.1", 5, 0, 0), "", "/run/x", None]
)
async def test_each_connection_of_this_machine_has_its_own(context: Context, address: object) -> None:
    """All of Postfix's processes have the same address, and one of them must not take the share of the others."""
    assert context.peer_of(address) is not context.peer_of(address)


async def test_a_share_is_forgotten_with_its_last_connection(context: Context) -> None:
    one = context.peer_of(("192.0.2.1", 1000))
    del one
    gc.collect()
    assert len(context._peers) == 0


async def test_other_maps_give_other_shares(context: Context) -> None:
    """What waits for the maps before is counted there."""
    before = context.peer_of(("192.0.2.1", 1000))
    context.ask(context.lookups)
    assert context.peer_of(("192.0.2.1", 1000)) is not before
