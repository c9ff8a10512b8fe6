"""The front door of a real daemon: few descriptors, slow clients, a log that nobody reads."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from vmaild.demo.process import free_port
from vmaild.demo.slapd import Slapd
from vmaild.demo.tree import READER_DN, READER_PW, SEARCH_BASE, tree
from vmaild.wire import netstring

PATIENCE = 30.0
DOMAIN = netstring.encode(b"virtual_mailbox_domains domain1.example")
KNOWN = netstring.encode(b"OK domain1.example")


class Serving:
    """``vmaild serve`` with few descriptors, started by hand for what ``vmaild.demo.daemon`` does not offer."""

    def __init__(
        self, home: Path, slapd: Slapd, *, top: str = "", descriptors: int = 1024, stderr: int | None = None
    ) -> None:
        self.port, self.pages = free_port(), free_port()
        self.configuration = home / "vmaild.toml"
        self.configuration.write_text(
            f'preset = "courier"\n{top}\n[directory]\nuri = "{slapd.uri}"\nsearch_base = "{SEARCH_BASE}"\n'
            f'bind_dn = "{READER_DN}"\nbind_pw = "{READER_PW}"\n[cache]\nttl = 1\nnegative_ttl = 0\nstale_ttl = 0\n'
            f'[[listen]]\naddress = "inet:127.0.0.1:{self.port}"\n[control]\naddress = "unix:{home}/control"\n'
            f'[http]\naddress = "inet:127.0.0.1:{self.pages}"\n'
        )
        self.configuration.chmod(0o600)
        limited = ["sh", "-c", f'ulimit -n {descriptors}; exec "$0" "$@"']
        self._command = [*limited, sys.executable, "-m", "vmaild", "serve", "-c", str(self.configuration)]
        self._stderr = stderr
        self._log = (home / "log").open("wb")
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Serving:
        self.process = subprocess.Popen(self._command, stderr=self._log if self._stderr is None else self._stderr)
        end = time.monotonic() + PATIENCE
        while not self.answers():
            assert time.monotonic() < end
            assert self.process.poll() is None
            time.sleep(0.05)
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process is not None
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._log.close()

    def connect(self, seconds: float = PATIENCE) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=seconds)

    def answers(self, seconds: float = PATIENCE) -> bool:
        """Whether a new client is answered from the directory."""
        try:
            with self.connect(seconds) as client:
                client.sendall(DOMAIN)
                return client.recv(4096) == KNOWN
        except OSError:
            return False

    def stats(self) -> dict[Any, Any]:
        command = [sys.executable, "-m", "vmaild", "stats", "-c", str(self.configuration)]
        return json.loads(subprocess.run(command, capture_output=True, check=True, timeout=PATIENCE).stdout)  # type: ignore[no-any-return]

    def page(self, name: str) -> int:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.pages}/{name}", timeout=PATIENCE) as response:
            return response.status  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def slapd(service_home: Path) -> Iterator[Slapd]:
    with Slapd(service_home / "slapd", ldif=tree()) as running:
        yield running


@pytest.fixture
def crowd() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as sockets:
        yield sockets


def test_with_few_descriptors_and_many_clients_ldap_pages_and_control_go_on(
    tmp_path: Path, slapd: Slapd, crowd: contextlib.ExitStack
) -> None:
    with Serving(tmp_path, slapd, descriptors=256) as serving:
        for _ in range(600):
            crowd.enter_context(serving.connect())
        slapd.stop()
        slapd.start()
        with ThreadPoolExecutor(20) as threads:
            asked = [threads.submit(serving.answers) for _ in range(60)]
            assert serving.page("health") == 200
            assert "directory" in serving.stats()
            # One that comes before slapd is up again is TEMP; it asks once more, as Postfix does.
            failed = sum(not answer.result() for answer in asked)
            assert all(serving.answers() for _ in range(failed))
        stats = serving.stats()
        server = stats["server"]
        assert stats["directory"]["servers"][0]["up"]
        assert server["closed_for_room"] > 100
        assert server["connections"] <= 160
    log = (tmp_path / "log").read_text()
    assert "max_connections is" in log
    assert "Too many open files" not in log


def test_sixty_slow_clients_do_not_keep_sixty_places(tmp_path: Path, slapd: Slapd, crowd: contextlib.ExitStack) -> None:
    with Serving(tmp_path, slapd, top="max_connections = 60") as serving:
        slow = [crowd.enter_context(serving.connect()) for _ in range(60)]
        for drip in range(3):
            for client in slow:
                with contextlib.suppress(OSError):
                    client.sendall(DOMAIN[drip : drip + 1])
            time.sleep(0.5)
        assert sum(serving.answers() for _ in range(30)) == 30


def test_a_log_that_nobody_reads_holds_no_answer_up(tmp_path: Path, slapd: Slapd) -> None:
    reading, writing = os.pipe()
    try:
        with Serving(tmp_path, slapd, top='log_level = "debug"', stderr=writing) as serving:
            with serving.connect() as client, client.makefile("rb") as replies:
                for n in range(2000):
                    client.sendall(netstring.encode(b"m%d" % n + b"x" * 200 + b" key"))
                    assert replies.read(17 + 3).startswith(b"16:PERM")
            assert serving.answers()
            assert serving.stats()["server"]["connections"] >= 0
    finally:
        os.close(reading)
        os.close(writing)
