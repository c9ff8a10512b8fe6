"""A server that is behind what was seen before takes back nothing that was found. In fake time."""

from __future__ import annotations

import asyncio

import pytest

from tests.cache.fake_time import in_fake_time
from tests.maps.fake_directory import account
from tests.maps.site import Site
from tests.maps.test_serving import TEMP
from vmaild.cache import CacheSettings
from vmaild.lookup import NOT_FOUND, Reply, found

ANN = account("ann@d.example", "d.example/ann/")
BOB = account("bob@d.example", "d.example/bob/")


async def without_ann(stale_ttl: float) -> Site:
    """Ann was found; the server that is asked from now on is behind, and has not got her yet."""
    site = Site(CacheSettings(ttl=300, negative_ttl=30, stale_ttl=stale_ttl))
    site.directory.entries += [ANN, BOB]
    for key in ("ann@d.example", "bob@d.example"):
        assert (await site.find(key)).text
    site.maps.server_changed(0, behind=True)
    site.directory.entries.remove(ANN)
    await asyncio.sleep(301)
    return site


@pytest.mark.parametrize(("stale_ttl", "reply"), [(1000, found(b"d.example/ann/")), (0, TEMP)])
@in_fake_time
async def test_what_was_found_is_not_not_found_on_a_server_that_is_behind(stale_ttl: float, reply: Reply) -> None:
    site = await without_ann(stale_ttl)
    assert await site.find("ann@d.example") == reply
    assert await site.find("bob@d.example") == found(b"d.example/bob/")


@in_fake_time
async def test_what_was_never_found_is_not_found_on_a_server_that_is_behind() -> None:
    site = await without_ann(0)
    assert await site.find("nobody@d.example") == NOT_FOUND


@in_fake_time
async def test_it_is_not_found_once_the_server_has_caught_up() -> None:
    site = await without_ann(1000)
    await site.find("ann@d.example")
    site.maps.server_changed(0, behind=False)
    await asyncio.sleep(301)
    await site.find("ann@d.example")
    await asyncio.sleep(1)
    assert await site.find("ann@d.example") == NOT_FOUND
