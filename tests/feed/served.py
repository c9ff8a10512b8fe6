"""What a daemon serves from a configuration file, with its feeds, in this process and without listeners."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

from tests.directory.rig import until
from vmaild.cache import Cache, Record
from vmaild.config import Config, load
from vmaild.lookup import Reply, Request
from vmaild.reload import Serving, serving


class Served:
    def __init__(self, serving: Serving, cache: Cache) -> None:
        self.serving = serving
        self.cache = cache
        self.directory = serving.directory
        self.hearing = serving.hearing

    async def find(self, name: str, key: str) -> Reply:
        return await self.serving.maps.find(Request(name.encode(), key.encode()))

    def record(self, name: str, key: str) -> Record | None:
        return self.cache.get(self.serving.maps._maps[name.encode()].prefix + key.encode())

    async def until_found(self, name: str, key: str, reply: Reply) -> None:
        """Ask until that is the answer. A failure on the way is none."""
        async with asyncio.timeout(8):
            while (await self.find(name, key)) != reply:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    async def until_heard(self, count: int = 1) -> None:
        await until(lambda: sum(one.counters.changes for one in self.hearing.freshness.values()) >= count)


def _loaded(file: Path, text: str, environ: Mapping[str, str]) -> Config:
    file.write_text(text)
    file.chmod(0o600)
    return load(file, environ)


@contextlib.asynccontextmanager
async def served(
    file: Path,
    text: str,
    environ: Mapping[str, str] | None = None,
    *,
    state: Path | None = None,
    wait: Callable[[Served], bool] | None = None,
) -> AsyncIterator[Served]:
    """Serves ``text``, written to ``file``; begins when all its feeds hear of changes by sync, or with ``wait``."""
    cache = Cache()
    own = serving(_loaded(file, text, environ or {}), cache, state=state)
    site = Served(own, cache)
    await own.directory.start()
    own.hearing.start(restore=True)
    try:
        await until(lambda: own.directory.ready)
        feeds = own.hearing.feeds.values()
        await until(lambda: wait(site) if wait else all(feed.counters.mode == "sync" for feed in feeds))
        yield site
    finally:
        await own.close()
