"""A service started as a plain child process, with its log in a file, and stopped by its own process id.

The demo's slapd and vmaild, and the tests' Postfix, run this way. A child gets SIGTERM when the process that
started it is killed and could not stop it. Everything here blocks.
"""

from __future__ import annotations

import contextlib
import random
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

STOP_SECONDS = 10.0
"""How long a process may take to end on SIGTERM before it gets SIGKILL: seconds."""

POLL_SECONDS = 0.01
"""How often a starting process is asked whether it is ready: seconds."""

LAST_WORDS = 500
"""How much of a log an error message quotes: characters from its end."""

PORTS = range(20_000, 32_768)
"""Where free ports are looked for: below Linux's ip_local_port_range. A port from that range can be taken by any
outgoing connection while its service restarts, even by one to that very port, which then meets itself."""


class ProcessError(Exception):
    """A process did not do what was asked. The text ends with what it said."""


_given: deque[int] = deque(maxlen=1000)
"""Ports that were given out and may not be listened on yet."""


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port of ``PORTS`` that nobody listens on now, and that was not given out lately."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Hypothesis seeds the common generator, and two test runs beside each other must not pick the same.
    generator = random.SystemRandom()
    for port in (generator.choice(PORTS) for _ in PORTS):
        with socket.socket(family) as probe, contextlib.suppress(OSError):
            probe.bind((host, port))
            if port not in _given:
                _given.append(port)
                return port
    raise ProcessError("no port is free")


class Process:
    """One child process at a time, started from ``command`` with its output in ``log``."""

    def __init__(self, command: Sequence[str], log: Path, *, environment: Mapping[str, str] | None = None) -> None:
        self.log = log
        self._command = list(command)
        self._environment = environment
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id; raises ``ProcessError`` when there is none."""
        if self._child is None:
            raise ProcessError(f"{self._command[0]} does not run")
        return self._child.pid

    @property
    def running(self) -> bool:
        """True from a start until it is stopped, killed or has ended by itself."""
        return self._child is not None and self._child.poll() is None

    def start(self, ready: Callable[[], bool], seconds: float) -> None:
        """Start it and wait until ``ready``. Raises ``ProcessError`` when it ends before, or after ``seconds``."""
        with self.log.open("ab") as log:
            # A session of its own keeps a terminal's Ctrl-C from stopping it before those who use it.
            self._child = subprocess.Popen(
                [*_bound_to_us(), *self._command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                start_new_session=True,
            )
        give_up = time.monotonic() + seconds
        while self.running and time.monotonic() < give_up:
            if ready():
                return
            time.sleep(POLL_SECONDS)
        self.kill()
        raise ProcessError(f"{Path(self._command[0]).name} did not start: {self.last_words()}")

    def stop(self, seconds: float = STOP_SECONDS) -> int:
        """SIGTERM, and SIGKILL after ``seconds``. Returns the exit status, 0 when none ran."""
        if self._child is None:
            return 0
        if self.running:
            self._child.send_signal(signal.SIGCONT)
            self._child.terminate()
            try:
                self._child.wait(seconds)
            except subprocess.TimeoutExpired:
                self._child.kill()
        return self._reap()

    def kill(self) -> None:
        """SIGKILL, as a crash would be."""
        if self._child is not None:
            self._child.kill()
            self._reap()

    def send(self, number: signal.Signals) -> None:
        """Send a signal; raises ``ProcessError`` when none runs."""
        if self._child is None or not self.running:
            raise ProcessError(f"{self._command[0]} does not run")
        self._child.send_signal(number)

    def last_words(self) -> str:
        """The end of its log, for error messages."""
        words = self.log.read_text(errors="replace").strip() if self.log.exists() else ""
        return words[-LAST_WORDS:] or "it left no message"

    def _reap(self) -> int:
        assert self._child is not None
        status = self._child.wait()
        self._child = None
        return status


def _bound_to_us() -> list[str]:
    # The kernel means the thread that started the child, and other threads than the main one may end any time.
    in_main_thread = threading.current_thread() is threading.main_thread()
    setpriv = shutil.which("setpriv") if in_main_thread else None
    return [setpriv, "--pdeathsig", "TERM"] if setpriv else []


def run(command: Sequence[str], *, stdin: str = "", environment: Mapping[str, str] | None = None) -> str:
    """Run a command to its end and return its output. Raises ``ProcessError`` with what it said if it fails."""
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, env=environment)
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip()[-LAST_WORDS:]
        raise ProcessError(f"{Path(command[0]).name} ended with {done.returncode}: {said}")
    return done.stdout
