"""The daemon, put together: directory, cache, maps, listeners, and what watches over them.

``Daemon.run`` serves until it is stopped by ``stop``, SIGTERM or SIGINT. SIGHUP and ``reload`` make it read its
configuration again, and take it over without closing a connection (``vmaild.reload``).

It listens before the directory is there, so that a restart never refuses a connection; a lookup that comes before the
first LDAP connection waits for it within its own deadline.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Coroutine, MutableMapping
from typing import Any, TypeVar

import uvloop

from vmaild.admin import MOST_CONNECTIONS, Console, Metrics, Readiness, StatusReport, readiness
from vmaild.cache import Cache, ResidentBound
from vmaild.config import Config, load
from vmaild.directory import Directories
from vmaild.errors import ConfigError
from vmaild.maps import Maps
from vmaild.process import GcTuning, Log, LogOnce, descriptors, resident_memory, resources_in_use, systemd
from vmaild.reload import Parts, close_all, serving, state_directory, take_over
from vmaild.server import Server
from vmaild.watching import Watching

logger = logging.getLogger("vmaild")

T = TypeVar("T")

CANARY_RETRY = 0.1
"""Seconds until the canaries are checked again while no directory server is up."""
MEMORY_INTERVAL = 0.5
"""Seconds between two checks whether many answers were stored, and of what is resident."""
CLIENT_SIZE = 3000
"""Bytes that the connection of a client takes."""
STATUS_INTERVAL = 5.0
"""Seconds between two STATUS lines for systemd."""


@contextlib.asynccontextmanager
async def opened(config: Config) -> AsyncIterator[Maps]:
    """Maps over a directory of their own, for a command that asks and ends."""
    async with console_of(config) as console:
        yield console.maps


@contextlib.asynccontextmanager
async def console_of(config: Config) -> AsyncIterator[Console]:
    """A console over a directory of its own, for a command that asks and ends: a daemon without listeners."""
    cache = Cache(config.cache)
    own = serving(config, cache)
    await own.directory.start()
    try:
        await own.maps.canaries.check()
        yield Console(own.maps, cache, own.directory, dict)
    finally:
        await own.close()


def places(config: Config) -> int:
    """How many clients there may be: ``max_connections``, or what the open files allow after all that is kept back."""
    admin = MOST_CONNECTIONS * (bool(config.http.address) + bool(config.control))
    servers = sum(len(directory.uri) for directory in config.directories)
    # Twice: while a reload takes over, the connections of both configurations are open.
    kept = descriptors.kept_back(2 * servers, max(directory.pool_size for directory in config.directories), admin)
    return descriptors.for_clients(config.daemon.max_connections, descriptors.raise_limit(), kept)


class Daemon:
    """One running vmaild. ``environ`` is what systemd passes things in, ``log`` where its log lines go."""

    def __init__(self, config: Config, environ: MutableMapping[str, str] = os.environ, log: Log | None = None) -> None:
        self._once = LogOnce(logger)
        self._environ = environ
        self._notifier = systemd.Notifier(environ)
        self._stop = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._inherited: list[socket.socket] = []
        self._refused = ""
        self._reloading = asyncio.Lock()
        self._reload_is_waiting = False
        self.cache = Cache(config.cache)
        self._serving = serving(config, self.cache, state=state_directory(config, environ))
        self.server = Server(
            self.maps, config.listen, max_connections=places(config), recent_size=self.cache.max_requests_size
        )
        self.cache.on_forget = self.server.forget_recent
        log_dropped = (lambda: log.dropped) if log is not None else (lambda: 0)
        self.metrics = Metrics(
            cache=self.cache, server=self.server, directory=self.directory, maps=self.maps,
            feed=self._serving.hearing.metrics, log_dropped=log_dropped,
        )  # fmt: skip
        self._report = StatusReport(
            *(self.cache, self.server, self.directory, self.maps, self.metrics),
            log_dropped=log_dropped,
            feed=lambda: self._serving.hearing.metrics.state(),
        )
        self.console = Console(
            *(self.maps, self.cache, self.directory, self._report.status), lambda: self._serving.hearing.domains
        )
        self._watching = Watching(config, self.metrics, self._ready, self, self.console)

    @property
    def config(self) -> Config:
        """The configuration in force."""
        return self._serving.config

    @property
    def directory(self) -> Directories:
        """The directory in use."""
        return self._serving.directory

    @property
    def maps(self) -> Maps:
        """The maps in use."""
        return self._serving.maps

    def stop(self) -> None:
        """End ``run``: no new connections, the lookups in flight are answered, then everything is closed."""
        self._stop.set()

    def flush(self, map_name: bytes | None, key: bytes | None) -> int:
        """Forget cached answers (``vmaild.admin.control``)."""
        self.server.forget_recent()
        return self.maps.flush(map_name, key)

    def stats(self) -> dict[str, Any]:
        """What the daemon knows of itself (``vmaild.admin.control``)."""
        return self.metrics.stats() | {"process": resources_in_use()}

    async def reload(self) -> str:
        """Read the configuration again and take it over; returns what that changed (``vmaild.admin.control``).

        Raises ConfigError with every problem when it cannot be used: then nothing has changed.
        """
        # A task of the daemon's own: its caller may go away before it ends.
        outcome = await asyncio.shield(self._begin(self._reload()))
        if isinstance(outcome, ConfigError):
            raise outcome
        return outcome

    async def run(self) -> None:
        """Serve until stopped. Raises OSError when an address cannot be listened on."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        loop.add_signal_handler(signal.SIGHUP, self._hang_up)
        try:
            async with contextlib.AsyncExitStack() as stack:
                await self._start(stack)
                await self._stop.wait()
                logger.info("stopping")
                self._notifier.stopping("answering what was asked")
                await self.server.drain(self.config.daemon.drain_timeout)
                if (snapshot := self._serving.hearing.snapshot) is not None:
                    await snapshot.write()
            logger.info("stopped")
        finally:
            # The loop gives signals back their default when it closes, and that of SIGHUP would end the process.
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})

    async def _start(self, stack: contextlib.AsyncExitStack) -> None:
        config = self.config
        self._inherited = [sock for named in systemd.listen_sockets(self._environ).values() for sock in named]
        stack.callback(close_all, self._inherited)
        self._watching.guard()
        stack.push_async_callback(self._close_serving)
        await self.directory.start()
        stack.push_async_callback(self._end_tasks)
        stack.push_async_callback(self.server.close)
        stack.push_async_callback(self._watching.close)
        passed = [sock.dup() for sock in self._inherited]
        stack.callback(close_all, passed)
        await self.server.start(passed)
        await self._watching.start(passed)
        self._refuse(passed)
        self._begin(self._watch_canaries())
        self._serving.hearing.start(restore=True)
        if interval := systemd.watchdog_interval(self._environ):
            self._begin(systemd.feed_watchdog(self._notifier, interval))
        addresses = " ".join(str(address) for address in self.server.addresses)
        logger.info("serving %d maps on %s", len(config.maps.tables), addresses)
        self._notifier.ready(f"serving on {addresses}")
        self._begin(self._tell_status())
        self._begin(self._tune_memory())

    async def _close_serving(self) -> None:
        await self._serving.close()

    def _ready(self) -> Readiness:
        return readiness(directory_ready=self.directory.ready, cached_records=len(self.cache))

    def _refuse(self, inherited: list[socket.socket]) -> None:
        if inherited:
            names = ", ".join(str(sock.getsockname()) for sock in inherited)
            raise ConfigError([f"{self.config.path}: listen: systemd passes a socket that no table names: {names}"])

    # --- another configuration --------------------------------------------------------------------------------------

    def _hang_up(self) -> None:
        """SIGHUP. One that comes while a reload waits for another asks for nothing more."""
        if not self._reload_is_waiting:
            self._reload_is_waiting = True
            self._begin(self._reload())

    async def _reload(self) -> str | ConfigError:
        async with self._reloading:
            self._reload_is_waiting = False
            self._notifier.reloading(time.monotonic())
            status = "a reload failed; see the log"
            try:
                status = await self._follow(await asyncio.to_thread(load, self.config.path, self._environ))
                logger.info("%s", status)
                self._refused = ""
                return status
            except ConfigError as error:
                for problem in error.problems:
                    logger.error("reload refused: %s", problem)
                logger.error("the old configuration goes on")
                status = self._refused = f"reload refused, the old configuration goes on: {error.problems[0]}"
                return error
            finally:
                self._notifier.ready(status)

    async def _follow(self, config: Config) -> str:
        parts = Parts(self.cache, self.server, self.metrics, self._watching, self._inherited, self._environ)
        taken = await take_over(self._serving, config, parts, max_connections=places(config))
        old, self._serving = self._serving, taken.serving
        self.console.use(self.maps, self.directory)
        self._report.use(self.maps, self.directory)
        self._begin(old.retire())
        for warning in taken.warnings:
            logger.warning("%s", warning)
        return f"reloaded: {len(config.maps.tables)} maps, {len(self.cache)} records kept, {taken.forgotten} forgotten"

    # --- what goes on beside serving --------------------------------------------------------------------------------

    def _begin(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(_report_end)
        return task

    async def _end_tasks(self) -> None:
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _watch_canaries(self) -> None:
        while True:
            try:
                await self.maps.canaries.check()
            except Exception as error:
                # Whatever it is, the canaries are to be checked again: a directory may be emptied in that time.
                if self._once.log(logging.ERROR, "canaries", f"the canaries could not be checked: {error!r}"):
                    logger.debug("the canaries could not be checked", exc_info=error)
            await asyncio.sleep(self.config.directory.check_interval if self.directory.ready else CANARY_RETRY)

    async def _tune_memory(self) -> None:
        server = self.server
        tuning = GcTuning(lambda: self.cache.counters.stored, lambda: self.cache.freed)
        tuning.start()
        check: Callable[[], None] = tuning.tick
        try:
            bound = ResidentBound(
                *(self.cache, resident_memory),
                beside=lambda: server.recent_size + server.connections * CLIENT_SIZE,
                forget=server.forget_recent,
                give_back=tuning.tick,
            )
            self.cache.on_growth(bound.grown)
            check = bound.check
        except OSError as error:
            logger.warning("resident memory cannot be read, so max_size bounds only what is counted: %s", error)
        while True:
            await asyncio.sleep(MEMORY_INTERVAL)
            tuning.tick()
            await asyncio.sleep(0)
            check()

    async def _tell_status(self) -> None:
        while True:
            await asyncio.sleep(STATUS_INTERVAL)
            up = "up" if self.directory.ready else "DOWN"
            told = (f"directory {up}, {len(self.cache)} records cached", self._refused)
            self._notifier.status("; ".join(filter(None, told)))


def _report_end(task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.error("a background task ended: %s", task.get_coro(), exc_info=error)


def run(config: Config, log: Log | None = None) -> None:
    """Serve until stopped, on uvloop."""

    async def main() -> None:
        await Daemon(config, log=log).run()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
