"""Taking over another configuration while serving: what SIGHUP and ``vmaild reload`` do.

The file, its secrets and its certificates are read again. Then all that can fail is done, beside what is running:
connections to the directory are opened, canaries are asked for, new addresses are bound. When one of them fails, what
was made is closed, every problem is reported, and the old configuration goes on. Only then the new one takes over:

- No connection is closed, but for those of a listener that goes, or changes its protocol or its map.
- Lookups in flight are answered from the directory that they are searched in; after that its connections are closed.
- Records stay for maps whose meaning is the same, in the same directory (``same_directory``). They keep their ages.
- A directory that cannot be reached is no reason to refuse while the old one cannot be reached either.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from vmaild.admin import Metrics
from vmaild.cache import Cache
from vmaild.config import Config
from vmaild.directory import Directories, DirectorySettings
from vmaild.errors import ConfigError
from vmaild.hearing import Hearing
from vmaild.maps import Limits, Maps
from vmaild.server import Server
from vmaild.server.listener import Plan
from vmaild.watching import Watching

POLL_INTERVAL = 0.02
"""Seconds between two checks of what is waited for. A reload is rare, and may take a second."""

ANSWER_TIME = 1.0
"""Seconds beyond ``lookup_timeout`` that lookups in flight have before their directory is closed."""


@dataclass(slots=True)
class Serving:
    """What answers lookups: a configuration, and what was made of it."""

    config: Config
    directory: Directories
    maps: Maps
    hearing: Hearing

    async def close(self) -> None:
        """End feeds, maps and directory. Can be called twice."""
        await self.hearing.close()
        await self.maps.close()
        await self.directory.close()

    async def retire(self) -> None:
        """Close when what is in flight has been answered."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self.config.directory.lookup_timeout + ANSWER_TIME
        try:
            # An event would have to be set on the way of each lookup.
            while self.maps.in_flight and loop.time() < end:  # noqa: ASYNC110
                await asyncio.sleep(POLL_INTERVAL)
            await self.hearing.finish()
        finally:
            await self.close()


def serving(config: Config, cache: Cache, before: Serving | None = None, state: Path | None = None) -> Serving:
    """What answers by ``config`` over ``cache``, not started; ``before``: what it will replace. ``state``: where the
    snapshot is kept."""
    directory = Directories(config.directories, counters=None if before is None else before.directory.counters)
    maps = Maps(
        config.maps.groups,
        cache,
        directory.route(0),
        timeout=config.directory.lookup_timeout,
        canaries=config.maps.canaries,
        route=directory.route if len(directory.pools) > 1 else None,
        limits=Limits(
            sum(one.pool_size for one in config.directories),
            config.directory.max_waiting,
            config.directory.max_waiting_per_client,
        ),
        before=None if before is None else before.maps,
        keep_records=before is not None and same_directories(before.config.directories, config.directories),
    )
    return Serving(config, directory, maps, Hearing(config, cache, directory, maps, state))


def state_directory(config: Config, environ: Mapping[str, str]) -> Path | None:
    """Where what is kept over a restart is: the setting, else the first of systemd's ``$STATE_DIRECTORY``."""
    name = config.daemon.state_directory or environ.get("STATE_DIRECTORY", "").partition(":")[0]
    return Path(name) if name else None


def same_directory(one: DirectorySettings, other: DirectorySettings) -> bool:
    """Whether what one said may be taken for what the other says: the same tree, seen by the same account."""
    if set(one.uri).isdisjoint(other.uri):
        return False
    return (one.search_base, one.bind_method, one.bind_dn) == (other.search_base, other.bind_method, other.bind_dn)


def same_directories(before: Sequence[DirectorySettings], now: Sequence[DirectorySettings]) -> bool:
    """Whether they are the same, one by one: queries name them by their numbers."""
    return len(before) == len(now) and all(map(same_directory, before, now))


async def make(before: Serving, config: Config, parts: Parts) -> Serving:
    """What is to replace ``before``, started. Raises ConfigError when it cannot."""
    new = serving(config, parts.cache, before, state_directory(config, parts.environ))
    try:
        await new.directory.start()
        if (
            not await _connected(new.directory, max(one.connect_timeout for one in config.directories))
            and before.directory.ready
        ):
            raise ConfigError(_no_server(config, new.directory))
        await new.maps.canaries.check()
    except OSError as error:
        await new.close()
        raise ConfigError([f"{config.path}: [directory] {error}"]) from None
    except BaseException:
        await new.close()
        raise
    return new


async def _connected(directory: Directories, seconds: float) -> bool:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds + ANSWER_TIME):
            while not directory.ready:  # noqa: ASYNC110
                await asyncio.sleep(POLL_INTERVAL)
    return directory.ready


def _no_server(config: Config, directory: Directories) -> list[str]:
    told = [server for server in directory.status().servers if not server.up]
    why = [f"{config.path}: [directory] uri: {server.uri} cannot be used: {server.last_failure}" for server in told]
    return [*why, f"{config.path}: no directory server can be used, while the old configuration has one"]


@dataclass(frozen=True, slots=True)
class Parts:
    """What stays when another configuration is taken over. ``inherited``: the sockets that systemd passed; ``environ``:
    what it passes other things in."""

    cache: Cache
    server: Server
    metrics: Metrics
    watching: Watching
    inherited: list[socket.socket]
    environ: Mapping[str, str]


class Taken(NamedTuple):
    """What was taken over, how many records were forgotten for it, and what the administrator should know."""

    serving: Serving
    forgotten: int
    warnings: tuple[str, ...]


async def take_over(old: Serving, config: Config, parts: Parts, *, max_connections: int) -> Taken:
    """Answer by ``config`` from now on, in place of ``old``, which is to be retired then.

    Raises ConfigError, and nothing has changed then, when it cannot be.
    """
    new = await make(old, config, parts)
    try:
        plan = await _listen(config, parts)
    except OSError as error:
        await new.close()
        raise ConfigError([f"{config.path}: {error.filename or 'listen'}: {error.strerror or error}"]) from None
    except BaseException:
        await new.close()
        raise
    # From here on nothing can fail, and nothing waits before all of it is in force.
    forgotten = new.maps.take_over(old.maps)
    old.hearing.stop()
    if same_directories(old.config.directories, config.directories):
        new.hearing.follow(old.hearing)
    new.hearing.start()
    parts.server.forget_recent()
    parts.metrics.use(new.directory, new.maps, new.hearing.metrics)
    parts.cache.use(config.cache)
    logging.getLogger("vmaild").setLevel(config.daemon.log_level.upper())
    await parts.server.follow(plan, new.maps, max_connections, parts.cache.max_requests_size)
    return Taken(new, forgotten, (*config.warnings, *plan.warnings))


async def _listen(config: Config, parts: Parts) -> Plan:
    """Bind what is new; the pages and the control socket follow already. Raises OSError."""
    passed = [sock.dup() for sock in parts.inherited]
    try:
        plan = await parts.server.plan(config.listen, passed)
        try:
            await parts.watching.follow(config, passed)
        except BaseException:
            await plan.drop()
            raise
        return plan
    finally:
        close_all(passed)


def close_all(sockets: list[socket.socket]) -> None:
    """Close them."""
    for sock in sockets:
        sock.close()
