"""What happens during a run: outages, floods, a log that nobody reads, reloads, one after the other, round after round.

Each act takes its time, and a calm follows it. ``Acts.windows`` has when each was; while one in which something is down
lasts, and ``GRACE`` seconds after it, TEMP and older values are right.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.directory.proxy import Mode
from tests.soak.floods import FLOODS
from tests.soak.site import Site
from tests.soak.workers import Worker
from vmaild.admin import flush

GRACE = 8.0
"""Seconds after an outage: the daemon's deadline (3), the longest pause before it tries to connect again, a connect."""

CALM = 2.0
CALM_AFTER_OUTAGE = 9.0
LONGEST_PAUSE = 11.0
"""Longer than the daemon's watchdog waits, which must not take a pause for a hang."""

OUTAGES = ("restart", "suspend", "slow", "refuse", "half", "pause")
OTHERS = ("block_log", "reload", "flush")
"""Acts beside the floods: methods of ``Acts``."""

Act = Callable[[], None] | str
"""A flood by its kind, or a method of ``Acts``."""


class Window(NamedTuple):
    """One act, in the system's monotonic time."""

    name: str
    begin: float
    end: float
    outage: bool


class Acts:
    """The acts on one site: those named in ``only``, or all. ``pace`` is a factor for all durations."""

    def __init__(
        self, site: Site, floods: Worker, *, pace: float, seed: int, only: Sequence[str] | None = None
    ) -> None:
        self._only = only
        self._site = site
        self._floods = floods
        self._pace = pace
        self._random = random.Random(seed)
        self.windows: list[Window] = []
        self.broken: list[str] = []
        """Acts that could not be carried out."""
        self._reloads = 0
        self.reload = reload_command(site)

    def run(self, until: float) -> None:
        """Act until the monotonic time ``until``."""
        acts = self._acts()
        if not acts:
            time.sleep(max(0.0, until - time.monotonic()))
        while acts and time.monotonic() < until and self._site.daemon.running:
            self._random.shuffle(acts)
            for act, outage in acts:
                if time.monotonic() >= until or not self._site.daemon.running:
                    break
                self._act(act, outage, until)

    def _acts(self) -> list[tuple[Act, bool]]:
        """Each act, and whether it is an outage."""
        acts: list[tuple[Act, bool]] = [(getattr(self, f"_{name}"), True) for name in OUTAGES]
        acts += [(getattr(self, f"_{name}"), False) for name in OTHERS] + [(kind, False) for kind in FLOODS]
        return [(act, outage) for act, outage in acts if self._only is None or _name(act) in self._only]

    def _act(self, act: Act, outage: bool, until: float) -> None:
        name, begin = _name(act), time.monotonic()
        try:
            self._flood(act, 4.0) if isinstance(act, str) else act()
        except Exception as error:
            self.broken.append(f"{name}: {error!r}")
        self.windows.append(Window(name, begin, time.monotonic(), outage))
        calm = (CALM_AFTER_OUTAGE if outage else CALM) * self._pace
        time.sleep(max(0.0, min(calm, until - time.monotonic())))

    def _for(self, seconds: float) -> None:
        time.sleep(seconds * self._pace)

    def _flood(self, kind: str, seconds: float) -> None:
        lines = self._floods.lines
        self._floods.tell(f"{kind} {seconds * self._pace}")
        if not self._floods.wait_line(lines + 1, seconds * self._pace + 60):
            raise TimeoutError("the flood did not end")

    def _restart(self) -> None:
        self._site.slapd.stop()
        self._for(self._random.uniform(0.5, 3))
        self._site.slapd.start()

    def _suspend(self) -> None:
        self._site.slapd.suspend()
        self._for(5)
        self._site.slapd.resume()

    def _slow(self) -> None:
        for _ in range(20):
            self._site.proxy.mode = Mode.HOLD
            self._for(0.25)
            self._site.proxy.mode = Mode.PASS
            self._for(0.05)

    def _refuse(self) -> None:
        self._site.proxy.refuse()
        self._for(3)
        self._site.proxy.listen()

    def _half(self) -> None:
        self._site.proxy.mode = Mode.HALF
        self._for(4)
        self._site.proxy.reset()
        self._site.proxy.mode = Mode.PASS

    def _pause(self) -> None:
        self._site.daemon.signal(signal.SIGSTOP)
        self._for(LONGEST_PAUSE)
        self._site.daemon.signal(signal.SIGCONT)

    def _block_log(self) -> None:
        self._site.log.reading.clear()
        try:
            self._flood("unknown maps", 3.0)
            self._flood("huge entries", 3.0)
        finally:
            self._site.log.reading.set()

    def _flush(self) -> None:
        flush(self._site.control)

    def _reload(self) -> None:
        if self.reload is None:
            return
        path = self._site.daemon.configuration
        good = path.read_text()
        self._reloads += 1
        # One that cannot be used, then one that can, with something changed.
        path.write_text(good + "\n[nonsense\n")
        self.reload()
        self._for(1)
        path.write_text(good.replace("check_interval = 2", f"check_interval = {2 + self._reloads % 2}"))
        self.reload()
        self._for(1)
        path.write_text(good)


def _name(act: Act) -> str:
    return act if isinstance(act, str) else act.__name__.strip("_").replace("_", " ")


def reload_command(site: Site) -> Callable[[], None] | None:
    """How the daemon is reloaded; None when it cannot be."""
    commands = subprocess.run([sys.executable, "-m", "vmaild", "--help"], capture_output=True, text=True, check=True)
    if "reload" in commands.stdout:
        command = [sys.executable, "-m", "vmaild", "reload", "-c", str(site.daemon.configuration)]
        return lambda: subprocess.run(command, capture_output=True, check=False) and None  # type: ignore[return-value]
    if _catches(site.daemon.pid, signal.SIGHUP):
        return lambda: os.kill(site.daemon.pid, signal.SIGHUP)
    return None


def _catches(pid: int, number: int) -> bool:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("SigCgt:"):
            return bool(int(line.split()[1], 16) >> (number - 1) & 1)
    return False
