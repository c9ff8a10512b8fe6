"""A real slapd with maps in front of it that hear of its changes."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence

from tests.directory.rig import until
from vmaild.cache import Cache, CacheSettings
from vmaild.config.maps import Common, read_maps
from vmaild.config.section import Problems
from vmaild.demo.tree import READER_DN, READER_PW, SEARCH_BASE
from vmaild.directory import DirectorySettings, Pool, Way
from vmaild.feed import Feed, HostedDomains, below
from vmaild.lookup import Reply, Request
from vmaild.maps import Freshness, Maps
from vmaild.tables.hosted import hosted_domains

MAILBOX, ALIAS, DOMAINS = "virtual_mailbox_maps", "virtual_alias_maps", "virtual_mailbox_domains"


class Hearing:
    """What a daemon is made of, without its listeners."""

    def __init__(self, settings: DirectorySettings, cache: CacheSettings | None = None) -> None:
        self.pool = Pool(settings)
        self.cache = Cache(cache)
        groups = read_maps("courier", {}, Common(SEARCH_BASE, "+"), Problems("test")).groups
        self.maps = Maps(groups, self.cache, self.pool, timeout=settings.timeout)
        self.pool.server_changed = lambda: self.maps.server_changed(0, behind=self.pool.behind)
        self.freshness = Freshness(self.cache, self.maps.groups, 2 * settings.timeout)
        self.maps.hear(self.freshness, groups)
        self.feed = Feed(settings, self.pool, self.freshness)
        hosted = hosted_domains(groups)
        assert hosted is not None
        self.domains = HostedDomains(
            hosted, self.maps, self.freshness, below(self.pool, Way(settings)), stale=1000.0, clock=time.monotonic
        )

    async def find(self, key: str, name: str = MAILBOX) -> Reply:
        return await self.maps.find(Request(name.encode(), key.encode()))

    def is_cached(self, key: str, name: str = MAILBOX) -> bool:
        entry = self.maps._maps[name.encode()]
        return self.cache.get(entry.prefix + key.encode()) is not None

    async def seconds_until_changed(self, key: str, name: str, before: Reply, since: float) -> float:
        """Seconds from ``since`` until the reply is another."""
        while await self.find(key, name) == before:
            assert time.monotonic() < since + 10, f"{key} is still {before}"
            await asyncio.sleep(0.002)
        return time.monotonic() - since


@contextlib.asynccontextmanager
async def hearing(
    uris: Sequence[str], changes: str = "auto", *, domains: bool = True, wait: str = "", **more: object
) -> AsyncIterator[Hearing]:
    """``wait`` is the mode to wait for; by default the one that ``changes`` makes."""
    settings = DirectorySettings(
        **{"uri": tuple(uris), "search_base": SEARCH_BASE, "bind_dn": READER_DN, "bind_pw": READER_PW,
           "changes": changes, **more}
    )  # fmt: skip
    site = Hearing(settings)
    await site.pool.start()
    tasks = [asyncio.create_task(site.feed.run())] + ([asyncio.create_task(site.domains.run())] if domains else [])
    try:
        mode = wait or {"auto": "sync"}.get(changes, changes)
        await until(lambda: site.feed.counters.mode == mode and (not domains or site.domains.known))
        yield site
    finally:
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        await site.maps.close()
        await site.pool.close()
    assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes), outcomes
