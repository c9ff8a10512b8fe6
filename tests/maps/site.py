"""Maps of the preset over a fake directory and a real cache, all by the loop's own time."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.maps.fake_directory import BASE, FakeDirectory
from vmaild.cache import Answer, Cache, CacheSettings, Record
from vmaild.config.maps import Common, read_maps
from vmaild.config.section import Problems
from vmaild.lookup import Reply, Request
from vmaild.maps import Freshness, Maps

MAILBOX, ALIAS, LOGIN = b"virtual_mailbox_maps", b"virtual_alias_maps", b"smtpd_sender_login_maps"


class Site:
    """``maps`` are tables of the configuration over the preset's. Make it in a running loop."""

    def __init__(
        self, settings: CacheSettings | None = None, *, jitter: float = 0.0, timeout: float = 3.0, **maps: Any
    ) -> None:
        problems = Problems("test")
        read = read_maps("courier", maps, Common(BASE, "+", mydestination=frozenset({"d.example"})), problems)
        assert problems.found == []
        clock = asyncio.get_running_loop().time
        self.directory = FakeDirectory()
        self.cache = Cache(settings, clock=clock, jitter=lambda: jitter)
        self.maps = Maps(read.groups, self.cache, self.directory, timeout=timeout, canaries=read.canaries, clock=clock)

    def hear(self) -> Freshness:
        """From now on it can be told of changes."""
        self.freshness = Freshness(self.cache, self.maps.groups, 2 * self.maps.timeout)
        self.maps.hear(self.freshness, [group for _, group in self.maps.groups])
        return self.freshness

    async def find(self, key: bytes | str, name: bytes = MAILBOX) -> Reply:
        return await self.maps.find(Request(name, key if isinstance(key, bytes) else key.encode()))

    def record(self, key: str) -> Record | None:
        """What there is of an address, whatever its age."""
        return self.cache.get(self.maps._maps[MAILBOX].prefix + key.encode())

    def cached(self, key: str, name: bytes = MAILBOX) -> Reply | None:
        """What the cache answers at this moment without a search."""
        replies: list[Reply] = []

        def keep(reply: Reply) -> bytes:
            replies.append(reply)
            return b""

        return replies[0] if isinstance(self.maps.seek(name, key.encode(), keep), Answer) else None


def now() -> float:
    return asyncio.get_running_loop().time()
