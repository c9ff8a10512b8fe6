"""What is beside the listeners: the pages for monitors, the control socket, and the watchdog.

Each is started by its settings, and started again by others when a configuration is taken over.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable

from vmaild.admin import Console, ControlServer, HttpServer, Metrics, Readiness, html
from vmaild.admin.control import Commands
from vmaild.config import Config
from vmaild.process import Watchdog

logger = logging.getLogger("vmaild")


class Watching:
    """``metrics`` and ``ready`` make the pages, ``commands`` and ``console`` do what the control socket is told."""

    def __init__(
        self,
        config: Config,
        metrics: Metrics,
        ready: Callable[[], Readiness],
        commands: Commands,
        console: Console,
    ) -> None:
        self._config = config
        self._metrics = metrics
        self._ready = ready
        self._commands = commands
        self._console = console
        self._http: HttpServer | None = None
        self._control: ControlServer | None = None
        self._watchdog: Watchdog | None = None

    def guard(self) -> None:
        """Start the watchdog over the running loop."""
        if self._config.daemon.watchdog:
            self._watchdog = Watchdog(self._config.daemon.watchdog)
            self._watchdog.start()

    async def start(self, inherited: list[socket.socket]) -> None:
        """Listen. Sockets of the pages' address are taken out of ``inherited``. Raises OSError."""
        self._http = await self._start_http(self._config, inherited)
        self._control = await self._start_control(self._config)

    async def follow(self, config: Config, inherited: list[socket.socket]) -> None:
        """Go by another configuration. Raises OSError, and nothing has changed then, when an address cannot be had."""
        before = self._config
        # Another certificate, token or network needs no other socket.
        stays = self._http is not None and self._http.can_follow(config.http)
        moved = config.http.address != before.http.address
        http = await self._start_http(config, inherited) if moved else self._http
        try:
            control = await self._start_control(config) if config.control != before.control else self._control
        except OSError:
            if moved and http is not None:
                await http.close()
            raise
        self._config = config
        if stays and self._http is not None:
            self._http.follow(config.http)
        elif config.http != before.http and self._http is not None:
            await self._http.close()
            if not moved:
                http = await self._start_http_again(config, inherited)
        if control is not self._control and self._control is not None:
            await self._control.close()
        self._http, self._control = http, control
        if config.daemon.watchdog != before.daemon.watchdog:
            await self._stop_watchdog()
            self.guard()

    async def close(self) -> None:
        """End all of it."""
        for server in (self._http, self._control):
            if server is not None:
                await server.close()
        await self._stop_watchdog()

    async def _start_http(self, config: Config, inherited: list[socket.socket]) -> HttpServer | None:
        settings = config.http
        if not settings.address:
            return None
        http = HttpServer(
            settings,
            metrics=self._metrics.exposition,
            page=lambda: html(self._console.status(), time.time()),
            ready=self._ready,
        )
        await http.start(inherited)
        return http

    async def _start_http_again(self, config: Config, inherited: list[socket.socket]) -> HttpServer | None:
        try:
            return await self._start_http(config, inherited)
        except OSError as error:
            # Somebody else took the address in between: no reason to go back, since lookups do not depend on it.
            logger.error("the pages for monitors are gone: %s: %s", config.http.address, error.strerror or error)
            return None

    async def _start_control(self, config: Config) -> ControlServer | None:
        if not config.control:
            return None
        path = config.control.removeprefix("unix:")
        control = ControlServer(path, self._commands, self._console)
        try:
            await control.start()
        except OSError as error:
            if config.control_is_default:
                # Nobody asked for it: a daemon started by hand has no /run/vmaild.
                logger.warning("no control socket at %s: %s", path, error.strerror or error)
                return None
            raise
        return control

    async def _stop_watchdog(self) -> None:
        if self._watchdog is not None:
            await self._watchdog.stop()
            self._watchdog = None
