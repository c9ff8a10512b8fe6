"""The daemon, put together: directory, cache, maps, listeners, and what watches over them.

``Daemon.run`` serves until it is told to stop: by ``stop``, SIGTERM or SIGINT. It listens before the directory is
there, so that a restart never refuses a connection; a lookup that comes before the first LDAP connection waits for it
within its own deadline.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Coroutine, MutableMapping
from typing import Any

import uvloop

from vmaild.admin import MOST_CONNECTIONS, ControlServer, HttpServer, Metrics, readiness
from vmaild.cache import Cache
from vmaild.config import Config
from vmaild.directory import Directories
from vmaild.errors import ConfigError
from vmaild.listening import parse_address
from vmaild.maps import Maps
from vmaild.process import GcTuning, Log, LogOnce, Watchdog, descriptors, systemd
from vmaild.server import Server

logger = logging.getLogger("vmaild")

# Seconds until the canaries are looked for again while no directory server is up.
CANARY_RETRY = 0.1
# Seconds between two checks whether many answers were stored.
GC_INTERVAL = 0.5
# Seconds between two STATUS lines for systemd.
STATUS_INTERVAL = 5.0


def make_maps(config: Config, directory: Directories, cache: Cache) -> Maps:
    """The maps of a configuration over a directory and a cache."""
    return Maps(
        config.maps.groups,
        cache,
        directory.route(0),
        timeout=config.directory.lookup_timeout,
        canaries=config.maps.canaries,
        route=directory.route if len(directory.pools) > 1 else None,
    )


@contextlib.asynccontextmanager
async def opened(config: Config) -> AsyncIterator[Maps]:
    """Maps over a directory of their own, for a command that asks and ends."""
    directory = Directories(config.directories)
    maps = make_maps(config, directory, Cache(config.cache))
    await directory.start()
    try:
        await maps.canaries.check()
        yield maps
    finally:
        await maps.close()
        await directory.close()


def places(config: Config) -> int:
    """How many clients there may be: ``max_connections``, or what the open files allow after all that is kept back."""
    admin = MOST_CONNECTIONS * (bool(config.http.address) + bool(config.control))
    servers = sum(len(directory.uri) for directory in config.directories)
    kept = descriptors.kept_back(servers, max(directory.pool_size for directory in config.directories), admin)
    return descriptors.for_clients(config.daemon.max_connections, descriptors.raise_limit(), kept)


class Daemon:
    """One running vmaild. ``environ`` is what systemd passes things in, ``log`` where its log lines go."""

    def __init__(self, config: Config, environ: MutableMapping[str, str] = os.environ, log: Log | None = None) -> None:
        self._once = LogOnce(logger)
        self._config = config
        self._environ = environ
        self._notifier = systemd.Notifier(environ)
        self._stop = asyncio.Event()
        self._tasks: list[asyncio.Task[Any]] = []
        self.directory = Directories(config.directories)
        self.cache = Cache(config.cache)
        self.maps = make_maps(config, self.directory, self.cache)
        self.server = Server(self.maps, config.listen, max_connections=places(config))
        self.metrics = Metrics(
            cache=self.cache,
            server=self.server,
            directory=self.directory,
            maps=self.maps,
            log_dropped=lambda: log.dropped if log is not None else 0,
        )

    def stop(self) -> None:
        """End ``run``: no new connections, the lookups under way are answered, then everything is closed."""
        self._stop.set()

    def flush(self, map_name: bytes | None, key: bytes | None) -> int:
        """Forget cached answers (``vmaild.admin.control``)."""
        self.server.forget_recent()
        return self.maps.flush(map_name, key)

    def stats(self) -> dict[str, Any]:
        """What the daemon knows of itself (``vmaild.admin.control``)."""
        return self.metrics.stats()

    async def run(self) -> None:
        """Serve until told to stop. Raises OSError when an address cannot be listened on."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        async with contextlib.AsyncExitStack() as stack:
            await self._start(stack)
            await self._stop.wait()
            logger.info("stopping")
            self._notifier.stopping("answering what was asked")
            await self.server.drain(self._config.daemon.drain_timeout)
        logger.info("stopped")

    async def _start(self, stack: contextlib.AsyncExitStack) -> None:
        config = self._config
        inherited = [sock for named in systemd.listen_sockets(self._environ).values() for sock in named]
        if config.daemon.watchdog:
            watchdog = Watchdog(config.daemon.watchdog)
            watchdog.start()
            stack.push_async_callback(watchdog.stop)
        stack.push_async_callback(self.directory.close)
        await self.directory.start()
        stack.push_async_callback(self.maps.close)
        stack.push_async_callback(self._end_tasks)
        stack.push_async_callback(self.server.close)
        await self.server.start(inherited)
        await self._start_http(stack, inherited)
        self._refuse(inherited)
        await self._start_control(stack)
        self._begin(self._watch_canaries())
        if interval := systemd.watchdog_interval(self._environ):
            self._begin(systemd.feed_watchdog(self._notifier, interval))
        addresses = " ".join(str(address) for address in self.server.addresses)
        logger.info("serving %d maps on %s", len(config.maps.tables), addresses)
        self._notifier.ready(f"serving on {addresses}")
        self._begin(self._tell_status())
        self._begin(self._tune_gc())

    async def _start_http(self, stack: contextlib.AsyncExitStack, inherited: list[socket.socket]) -> None:
        settings = self._config.http
        if not settings.address:
            return
        http = HttpServer(
            parse_address(settings.address),
            metrics=self.metrics.exposition,
            ready=lambda: readiness(directory_ready=self.directory.ready, cached_records=len(self.cache)),
            mode=settings.mode,
            owner=settings.owner,
            group=settings.group,
            access=settings.access,
        )
        stack.push_async_callback(http.close)
        await http.start(inherited)

    async def _start_control(self, stack: contextlib.AsyncExitStack) -> None:
        if not self._config.control:
            return
        path = self._config.control.removeprefix("unix:")
        control = ControlServer(path, self)
        try:
            await control.start()
        except OSError as error:
            if self._config.control_is_default:
                # Nobody asked for it: a daemon started by hand has no /run/vmaild.
                logger.warning("no control socket at %s: %s", path, error.strerror or error)
                return
            raise
        stack.push_async_callback(control.close)

    def _refuse(self, inherited: list[socket.socket]) -> None:
        if inherited:
            names = ", ".join(str(sock.getsockname()) for sock in inherited)
            raise ConfigError([f"{self._config.path}: listen: systemd passes a socket that no table names: {names}"])

    def _begin(self, work: Coroutine[Any, Any, object]) -> None:
        task = asyncio.create_task(work)
        task.add_done_callback(_report_end)
        self._tasks.append(task)

    async def _end_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _watch_canaries(self) -> None:
        while self.maps.canaries.keys:
            try:
                await self.maps.canaries.check()
            except Exception as error:
                # Whatever it is, the canaries are to be checked again: a directory may be emptied meanwhile.
                if self._once.log(logging.ERROR, "canaries", f"the canaries could not be checked: {error!r}"):
                    logger.debug("the canaries could not be checked", exc_info=error)
            await asyncio.sleep(self._config.directory.check_interval if self.directory.ready else CANARY_RETRY)

    async def _tune_gc(self) -> None:
        tuning = GcTuning(lambda: self.cache.counters.stored)
        tuning.start()
        while True:
            await asyncio.sleep(GC_INTERVAL)
            tuning.tick()

    async def _tell_status(self) -> None:
        while True:
            await asyncio.sleep(STATUS_INTERVAL)
            up = "up" if self.directory.ready else "DOWN"
            self._notifier.status(f"directory {up}, {len(self.cache)} records cached")


def _report_end(task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.error("a background task ended: %s", task.get_coro(), exc_info=error)


def run(config: Config, log: Log | None = None) -> None:
    """Serve until told to stop, on uvloop."""

    async def main() -> None:
        await Daemon(config, log=log).run()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
