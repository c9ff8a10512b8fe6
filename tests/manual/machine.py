"""A Debian in a container with systemd as PID 1 and no network but loopback, on a copy of a tree that stays as it is.

Everything is below ``home`` on a disk of this machine, and gone at the end. As root.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

BOOT_SECONDS = 60.0
ON_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Machine:
    """``with Machine(tree, home) as machine``: ``prepare`` with this machine's network, then ``boot`` and ``run``."""

    def __init__(self, tree: Path, home: Path, hostname: str = "mail") -> None:
        self.root = home / "root"
        self._tree, self._home, self._hostname = tree, home, hostname
        self._nspawn: subprocess.Popen[bytes] | None = None
        self._leader = 0

    def __enter__(self) -> Self:
        for name in ("root", "changes", "work"):
            (self._home / name).mkdir(parents=True)
        layers = f"lowerdir={self._tree},upperdir={self._home}/changes,workdir={self._home}/work,volatile"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", layers, self.root], check=True)
        return self

    def __exit__(self, *_: object) -> None:
        if self._leader:
            os.kill(self._leader, 9)
        if self._nspawn is not None:
            self._nspawn.wait(BOOT_SECONDS)
        subprocess.run(["umount", self.root], check=True)

    def prepare(self, *command: str) -> None:
        """Run a command before systemd does, with the network of this machine."""
        options = ("--console=pipe", "--resolv-conf=copy-host", "--setenv=DEBIAN_FRONTEND=noninteractive")
        status, output = run([*self._container(), *options, "--", *command], seconds=600)
        if status:
            raise SystemExit(f"{command} ended with {status}:\n{output[-3000:]}")

    def boot(self) -> None:
        """Start systemd, and wait for it."""
        options = ("--boot", "--private-network", "--link-journal=no", "--resolv-conf=off")
        with (self._home / "console").open("wb") as console:
            self._nspawn = subprocess.Popen(
                [*self._container(), *options], stdin=subprocess.DEVNULL, stdout=console, stderr=console
            )
        end = time.monotonic() + BOOT_SECONDS
        while time.monotonic() < end and self._nspawn.poll() is None:
            children = Path(f"/proc/{self._nspawn.pid}/task/{self._nspawn.pid}/children").read_text().split()
            if children:
                self._leader = int(children[-1])
                state = subprocess.run(self._inside("systemctl is-system-running"), capture_output=True, check=False)
                if state.stdout.strip() in (b"running", b"degraded"):
                    return
            time.sleep(0.2)
        raise SystemExit(
            f"the container does not start:\n{(self._home / 'console').read_text(errors='replace')[-2000:]}"
        )

    def run(self, command: str, *, seconds: float, **environment: str) -> tuple[int, str]:
        """The exit status of a line for bash(1), and what it printed."""
        return run(self._inside(command, **environment), seconds=seconds)

    def _container(self) -> list[str]:
        return [
            *(
                "systemd-nspawn",
                "--quiet",
                f"--directory={self.root}",
                "--register=no",
                "--keep-unit",
                "--timezone=off",
            ),
            *(f"--machine=papers-{os.getpid()}", f"--hostname={self._hostname}"),
        ]

    def _inside(self, command: str, **environment: str) -> list[str]:
        values = {
            "PATH": ON_PATH,
            "LANG": "C.UTF-8",
            "HOME": "/root",
            "DEBIAN_FRONTEND": "noninteractive",
            **environment,
        }
        passed = [f"{name}={value}" for name, value in values.items()]
        return ["nsenter", "-t", str(self._leader), "-a", "--", "env", "-i", *passed, "bash", "-c", command]


def run(command: Sequence[str | Path], *, seconds: float, cwd: Path | None = None) -> tuple[int, str]:
    """Exit status and output of a command; 124 and what it had printed when it took longer."""
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        cwd=cwd,
    ) as process:
        try:
            output, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            output, _ = process.communicate()
            return 124, output.decode(errors="replace")
        except BaseException:
            os.killpg(process.pid, 9)
            raise
    return process.returncode, output.decode(errors="replace")
