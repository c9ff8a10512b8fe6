"""Several directories as one: each search goes to that which its query names, with a pool of its own.

A map made of ldap_table(5) files is asked where these say, and servers, binds and TLS may differ from file to file;
equal ones share (``vmaild.config.table_files``). Most configurations have one.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections import Counter
from collections.abc import Callable, Sequence

from vmaild.directory.counters import Counters, PoolStatus, ServerStatus
from vmaild.directory.pool import Ended, Pool
from vmaild.directory.settings import DirectorySettings
from vmaild.lookup import Search
from vmaild.tables.schema import Schema


class Directories:
    """A pool for each of ``settings``, by their order. They are up when all are.

    ``counters`` count for all of them; they may be those of directories that these replace.
    """

    def __init__(
        self,
        settings: Sequence[DirectorySettings],
        *,
        clock: Callable[[], float] = time.monotonic,
        counters: Counters | None = None,
    ) -> None:
        self.counters = counters or Counters()
        self.pools = tuple(Pool(one, clock=clock, counters=self.counters) for one in settings)

    async def start(self) -> None:
        """As ``Pool.start``."""
        for pool in self.pools:
            await pool.start()

    async def close(self) -> None:
        """As ``Pool.close``."""
        await asyncio.gather(*(pool.close() for pool in self.pools))

    def route(self, number: int) -> Pool | Route:
        """For lookups whose schema is that of the directory ``number``."""
        return self.pools[0] if len(self.pools) == 1 else Route(self.pools, self.pools[number])

    @property
    def ready(self) -> bool:
        """True when each has a server that is up."""
        return all(pool.ready for pool in self.pools)

    def status(self) -> PoolStatus:
        """The numbers of this moment. A server that several directories name gets a number behind its URI."""
        seen: Counter[str] = Counter()
        servers: list[ServerStatus] = []
        waiting = 0
        for pool in self.pools:
            status = pool.status()
            waiting += status.waiting
            for server in status.servers:
                seen[server.uri] += 1
                times = seen[server.uri]
                servers.append(server if times == 1 else dataclasses.replace(server, uri=f"{server.uri} {times}"))
        return PoolStatus(tuple(servers), waiting)


class Route:
    """Searches in any of ``pools``, with the schema of ``home``."""

    def __init__(self, pools: Sequence[Pool], home: Pool) -> None:
        self._pools = pools
        self._home = home

    @property
    def schema(self) -> Schema | None:
        """The schema of the server of ``home`` that will be asked."""
        return self._home.schema

    @property
    def search_time(self) -> float:
        """Seconds that a search of ``home`` takes at present, 0 when that is not known."""
        return self._home.search_time

    def begin(self, search: Search, end: float, done: Callable[[Ended], None]) -> object:
        """As ``Pool.begin``."""
        return self._pools[search.directory].begin(search, end, done)
