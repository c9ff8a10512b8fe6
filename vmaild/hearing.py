"""What goes on behind the maps of one configuration: changes followed, hosted domains read, a snapshot written.

For each directory a ``Feed`` follows the changes of the server in use, and passes them to the ``Freshness`` of the
groups that are looked up there. A group whose maps ask several directories has none: its answers live for ``ttl``.

When another configuration is taken over, its hearing follows on the last one where both have the same directory
(``follow``): records that stay are followed on, and the feed's cookie names what changed in between.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from vmaild.admin import FeedMetrics
from vmaild.cache import Cache
from vmaild.config import Config
from vmaild.directory import Directories, Pool, Way
from vmaild.feed import Feed, HostedDomains, below
from vmaild.maps import Freshness, Maps
from vmaild.snapshot import Snapshot, fingerprint
from vmaild.tables import Group
from vmaild.tables.hosted import hosted_domains

logger = logging.getLogger("vmaild")

BUG_PAUSE = 30.0
"""Seconds after which work that a bug has ended is begun again."""


class Hearing:
    """``state_directory`` is where the snapshot is kept, None for none."""

    def __init__(
        self, config: Config, cache: Cache, directory: Directories, maps: Maps, state_directory: Path | None = None
    ) -> None:
        self._maps = maps
        self._tasks: list[asyncio.Task[None]] = []
        self.freshness: dict[int, Freshness] = {}
        """By the number of the directory."""
        self.feeds: dict[int, Feed] = {}
        for number, (settings, pool) in enumerate(zip(config.directories, directory.pools, strict=True)):
            pool.server_changed = functools.partial(self._server_changed, number, pool)
            groups = [(prefix, group) for prefix, group in maps.groups if _directories(group) == {number}]
            if settings.changes != "none" and groups:
                self.freshness[number] = freshness = Freshness(cache, groups, 2 * maps.timeout)
                maps.hear(freshness, [group for _, group in groups])
                self.feeds[number] = Feed(settings, pool, freshness)
        self.domains = self._hosted_domains(config, directory)
        self.metrics = FeedMetrics(list(self.feeds.values()), list(self.freshness.values()), self.domains)
        self.snapshot = None if state_directory is None else self._snapshot(config, cache, directory, state_directory)

    def _server_changed(self, number: int, pool: Pool) -> None:
        self._maps.server_changed(number, behind=pool.behind)

    def _hosted_domains(self, config: Config, directory: Directories) -> HostedDomains | None:
        hosted = hosted_domains(config.maps.groups)
        if hosted is None or not config.cache.stale_domains:
            return None
        return HostedDomains(
            hosted,
            self._maps,
            self.freshness.get(hosted.group.directory),
            below(directory.pools[hosted.group.directory], Way(config.directories[hosted.group.directory])),
            stale=config.cache.stale_domains,
            canaries=config.maps.canaries.get(hosted.group.tables[0].name, ()),
            clock=time.monotonic,
        )

    def _snapshot(self, config: Config, cache: Cache, directory: Directories, state_directory: Path) -> Snapshot:
        meaning = fingerprint(
            [(one.search_base, one.bind_method, one.bind_dn) for one in config.directories],
            [group.meaning for group in config.maps.groups],
        )
        bases = [one.search_base for one in config.directories]
        pools = list(zip(directory.pools, bases, strict=True))
        groups = [(prefix, len(group.tables)) for prefix, group in self._maps.groups]
        return Snapshot(state_directory, meaning, cache, pools, groups, self.domains)

    def follow(self, before: Hearing) -> None:
        """Take the place of ``before``, which is ``stop``ped, with the same directories."""
        for number, freshness in before.freshness.items():
            if number not in self.freshness:
                freshness.lost(time.monotonic())  # no changes of what stays arrive any more
        for number, freshness in self.freshness.items():
            if number in before.freshness:
                freshness.follow(before.freshness[number])
                self.feeds[number].follow(before.feeds[number])
        if self.domains is not None and before.domains is not None:
            self.domains.follow(before.domains)
        if self.snapshot is not None and before.snapshot is not None:
            self.snapshot.follow(before.snapshot)

    def start(self, *, restore: bool = False) -> None:
        """Begin, in the background; with ``restore`` by what the snapshot says."""
        for feed in self.feeds.values():
            self._begin("hearing of changes", feed.run)
        if self.domains is not None:
            self._begin("reading the hosted domains", self.domains.run)
        if self.snapshot is not None:
            self._begin("writing snapshots", functools.partial(self.snapshot.run, restore=restore))

    def stop(self) -> None:
        """Hear no more."""
        for task in self._tasks:
            task.cancel()

    async def finish(self) -> None:
        """Wait until all records have been visited that changes heard so far concern."""
        await asyncio.gather(*(freshness.finish() for freshness in self.freshness.values()))

    async def close(self) -> None:
        """End all of it. Can be called twice, and without ``start``."""
        self.stop()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        await asyncio.gather(*(freshness.close() for freshness in self.freshness.values()))

    def _begin(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        self._tasks.append(asyncio.create_task(_again_and_again(name, work)))


async def _again_and_again(name: str, work: Callable[[], Awaitable[None]]) -> None:
    """Do work that has no end, and begin it again when a bug has ended it."""
    while True:
        try:
            await work()
        except Exception as error:
            logger.error("%s ended by a bug, and begins again in %g s", name, BUG_PAUSE, exc_info=error)
        await asyncio.sleep(BUG_PAUSE)


def _directories(group: Group) -> set[int]:
    return {query.directory for query in group.queries}
