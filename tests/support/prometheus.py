"""A real Prometheus on a free port of loopback, as a plain process, and promtool(1)."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vmaild.demo.process import Process, ProcessError, free_port

START_SECONDS = 60.0
WAIT_SECONDS = 60.0
"""How long it may take until what is waited for has been scraped: seconds."""


def promtool(*arguments: str, cwd: Path) -> str:
    """What it said. Raises AssertionError with that when it found something wrong."""
    if shutil.which("promtool") is None:
        raise ProcessError("promtool is missing; on Debian: apt-get install --no-install-recommends prometheus")
    done = subprocess.run(
        ["promtool", *arguments], cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


class Prometheus:
    """Runs on ``home/prometheus.yml``."""

    def __init__(self, home: Path) -> None:
        if shutil.which("prometheus") is None:
            raise ProcessError("prometheus is missing; on Debian: apt-get install --no-install-recommends prometheus")
        address = f"127.0.0.1:{free_port()}"
        self.url = f"http://{address}"
        command = [
            "prometheus",
            f"--config.file={home / 'prometheus.yml'}",
            f"--storage.tsdb.path={home / 'data'}",
            f"--web.listen-address={address}",
            "--log.level=warn",
        ]
        self._process = Process(command, home / "prometheus.log")

    def __enter__(self) -> Prometheus:
        self._process.start(self._ready, START_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stop()

    def ask(self, path: str, **parameters: str) -> Any:
        """The data of an answer of its API, version 1. Raises AssertionError with its words for an error."""
        query = urllib.parse.urlencode(parameters)
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{query}", timeout=30) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(f"{parameters}: {json.load(error)['error']}") from None

    def value(self, query: str) -> float | None:
        """What a query gives that gives one number; None while it gives nothing."""
        result = self.ask("query", query=query)["result"]
        assert len(result) <= 1, result
        return float(result[0]["value"][1]) if result else None

    def wait_for(self, true: Callable[[], object]) -> None:
        """Wait until so much has been scraped that it is true."""
        end = time.monotonic() + WAIT_SECONDS
        while not true():
            assert time.monotonic() < end, (self.ask("targets"), self._process.last_words())
            time.sleep(0.1)

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=10) as answer:
                return bool(answer.status == 200)
        except urllib.error.HTTPError as error:
            error.close()
            return False
        except OSError:
            return False
