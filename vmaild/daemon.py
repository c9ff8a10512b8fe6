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
import time
from collections.abc import AsyncIterator, Coroutine, MutableMapping
from pathlib import Path
from typing import Any

import uvloop

from vmaild.admin import ControlServer, HttpServer, Metrics, readiness
from vmaild.admin.feed_metrics import FeedMetrics
from vmaild.cache import Cache
from vmaild.config import Config
from vmaild.directory import Pool
from vmaild.errors import ConfigError
from vmaild.feed import Feed, HostedDomains
from vmaild.listening import parse_address
from vmaild.maps import Maps
from vmaild.process import GcTuning, Watchdog, systemd
from vmaild.server import Server
from vmaild.snapshot import Snapshot
from vmaild.snapshot.snapshot import fingerprint
from vmaild.tables.hosted import hosted_domains

logger = logging.getLogger("vmaild")

# Seconds until the canaries are looked for again while no directory server is up.
CANARY_RETRY = 0.1
# Seconds between two checks whether many answers were stored.
GC_INTERVAL = 0.5
# Seconds between two STATUS lines for systemd.
STATUS_INTERVAL = 5.0


def make_maps(config: Config, directory: Pool, cache: Cache) -> Maps:
    """The maps of a configuration over a directory and a cache."""
    return Maps(
        config.maps.groups,
        cache,
        directory,
        timeout=config.directory.timeout,
        canaries=config.maps.canaries,
    )


@contextlib.asynccontextmanager
async def opened(config: Config) -> AsyncIterator[Maps]:
    """Maps over a directory of their own, for a command that asks and ends."""
    directory = Pool(config.directory)
    maps = make_maps(config, directory, Cache(config.cache))
    await directory.start()
    try:
        await maps.canaries.check()
        yield maps
    finally:
        await maps.close()
        await directory.close()


class Daemon:
    """One running vmaild. ``environ`` is what systemd passes things in."""

    def __init__(self, config: Config, environ: MutableMapping[str, str] = os.environ) -> None:
        self._config = config
        self._environ = environ
        self._notifier = systemd.Notifier(environ)
        self._stop = asyncio.Event()
        self._tasks: list[asyncio.Task[Any]] = []
        self.directory = Pool(config.directory)
        self.cache = Cache(config.cache)
        self.maps = make_maps(config, self.directory, self.cache)
        self.feed = (
            Feed(config.directory, self.directory, self.maps.hear()) if config.directory.changes != "none" else None
        )
        self.domains = self._hosted_domains()
        self.snapshot = self._snapshot()
        self.server = Server(self.maps, config.listen, max_connections=config.daemon.max_connections)
        self.metrics = Metrics(
            cache=self.cache,
            server=self.server,
            directory=self.directory,
            maps=self.maps,
            feed=FeedMetrics(self.feed, self.maps.freshness, self.domains),
        )

    def _hosted_domains(self) -> HostedDomains | None:
        hosted = hosted_domains(self._config.maps.groups)
        if hosted is None or not self._config.cache.stale_domains:
            return None
        return HostedDomains(
            hosted,
            self.maps,
            self.maps.freshness,
            self.directory.search,
            stale=self._config.cache.stale_domains,
            canaries=self._config.maps.canaries.get(hosted.group.tables[0].name, ()),
            clock=time.monotonic,
        )

    def _snapshot(self) -> Snapshot | None:
        config = self._config
        directory = config.daemon.state_directory or self._environ.get("STATE_DIRECTORY", "").partition(":")[0]
        if not directory:
            return None
        account = config.directory.bind_method, config.directory.bind_dn
        meaning = fingerprint(config.directory.search_base, account, [group.meaning for group in config.maps.groups])
        base = config.directory.search_base
        return Snapshot(Path(directory), meaning, self.cache, self.directory, base, self.domains)

    async def _keep_snapshot(self) -> None:
        if self.snapshot is not None:
            await self.snapshot.restore()
            await self.snapshot.run()

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
            if self.snapshot is not None:
                await self.snapshot.write()
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
        if self.feed is not None:
            self._begin(self.feed.run())
        if self.domains is not None:
            self._begin(self.domains.run())
        self._begin(self._keep_snapshot())
        if interval := systemd.watchdog_interval(self._environ):
            self._begin(systemd.feed_watchdog(self._notifier, interval))
        addresses = " ".join(str(address) for address in self.server.addresses)
        logger.info("serving %d maps on %s", len(config.maps.tables), addresses)
        self._notifier.ready(f"serving on {addresses}")
        self._begin(self._tell_status())
        self._begin(self._tune_gc())

    async def _start_http(self, stack: contextlib.AsyncExitStack, inherited: list[socket.socket]) -> None:
        if not self._config.http:
            return
        http = HttpServer(
            parse_address(self._config.http),
            metrics=self.metrics.exposition,
            ready=lambda: readiness(directory_ready=self.directory.ready, cached_records=len(self.cache)),
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
        self._tasks.append(asyncio.create_task(work))

    async def _end_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _watch_canaries(self) -> None:
        while self.maps.canaries.keys:
            await self.maps.canaries.check()
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


def log_to(stream: Any, level: str) -> None:
    """Log to ``stream``; under systemd, which adds time and name itself, with the priority of sd-daemon(3)."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_JournalFormatter() if "JOURNAL_STREAM" in os.environ else _PlainFormatter())
    root = logging.getLogger("vmaild")
    root.handlers[:] = [handler]
    root.propagate = False
    root.setLevel(level.upper())


class _PlainFormatter(logging.Formatter):
    """Time in UTC, level, text."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%SZ")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802
        return time.strftime(datefmt or "%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))


class _JournalFormatter(logging.Formatter):
    """The text behind its syslog priority, sd-daemon(3)."""

    _PRIORITY = ((logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))

    def format(self, record: logging.LogRecord) -> str:
        priority = next((number for level, number in self._PRIORITY if record.levelno >= level), 7)
        return "\n".join(f"<{priority}>{line}" for line in super().format(record).splitlines())


def run(config: Config) -> None:
    """Serve until told to stop, on uvloop."""

    async def main() -> None:
        await Daemon(config).run()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
