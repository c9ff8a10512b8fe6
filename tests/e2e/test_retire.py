"""What a reload replaces is freed at once: the collector leaves frozen objects out, so a cycle would stay for ever."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.directory.rig import until
from tests.support.loops import on_each_loop
from vmaild.cache import Cache
from vmaild.config import Config, load
from vmaild.demo.slapd import Slapd
from vmaild.demo.tree import READER_DN, READER_PW, SEARCH_BASE, tree
from vmaild.lookup import Request, Status
from vmaild.reload import Serving, serving

CONFIG = """\
preset = "courier"
[directory]
uri = ["{uri}"]
search_base = "{base}"
bind_dn = "{dn}"
bind_pw = "{password}"
changes = "{changes}"
[maps.virtual_mailbox_maps]
canary = ["user1@domain1.example"]
"""


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@on_each_loop
@pytest.mark.parametrize("changes", ["none", "sync", "poll"])
@pytest.mark.usefixtures("no_collector")
async def test_nothing_is_left_of_what_was_retired(service_home: Path, changes: str) -> None:
    """Neither maps, tables and feed nor servers and their schema; with an outage and an answer from the directory."""
    with Slapd(service_home / "slapd", ldif=tree(), syncprov=True) as slapd:
        config = _config(service_home, slapd, changes)
        cache = Cache(config.cache)
        own = serving(config, cache)
        del config
        held = await _serve_and_retire(own, slapd)
        del own
    await asyncio.sleep(0.1)
    assert {name: one() for name, one in held.items() if one() is not None} == {}


@on_each_loop
async def test_who_asks_maps_that_are_closed_is_told_to_try_again(service_home: Path) -> None:
    """Both who waits for an answer when they are closed, and who asks afterwards."""
    with Slapd(service_home / "slapd", ldif=tree()) as slapd:
        own = serving(_config(service_home, slapd, "none"), Cache())
        await own.directory.start()
        await until(lambda: own.directory.ready)
        slapd.suspend()
        waiting = asyncio.create_task(own.maps.find(Request(b"virtual_mailbox_maps", b"user1@domain1.example")))
        await until(lambda: own.maps.in_flight == 1)
        await own.close()
        late = await own.maps.find(Request(b"virtual_mailbox_maps", b"user2@domain1.example"))
        assert [(await waiting).status, late.status] == [Status.TEMPORARY] * 2
        slapd.resume()


def _config(home: Path, slapd: Slapd, changes: str) -> Config:
    file = home / "vmaild.toml"
    file.write_text(CONFIG.format(uri=slapd.uri, base=SEARCH_BASE, dn=READER_DN, password=READER_PW, changes=changes))
    return load(file, {})


async def _serve_and_retire(own: Serving, slapd: Slapd) -> dict[str, weakref.ref[object]]:
    await own.directory.start()
    own.hearing.start()
    await until(lambda: own.directory.ready)
    await asyncio.to_thread(slapd.restart)
    await until(lambda: own.directory.ready)
    await until(lambda: all(feed.counters.mode != "none" for feed in own.hearing.feeds.values()))
    await own.maps.canaries.check()
    for key, status in (("user1@domain1.example", Status.FOUND), ("nobody@domain1.example", Status.NOT_FOUND)):
        reply = await own.maps.find(Request(b"virtual_mailbox_maps", key.encode()))
        assert reply.status is status
    pool = own.directory.pools[0]
    held: dict[str, object] = {"maps": own.maps, "hearing": own.hearing, "pool": pool, "schema": pool.schema}
    held |= {f"server {number}": server for number, server in enumerate(pool._servers)}
    held |= {f"feed {number}": feed for number, feed in own.hearing.feeds.items()}
    assert pool.schema is not None
    await own.retire()
    return {name: weakref.ref(one) for name, one in held.items()}
