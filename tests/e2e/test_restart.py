"""What the socket unit is for: the listener outlives the daemon, and a killed daemon costs no lookup."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vmaild.demo.slapd import Slapd
from vmaild.demo.tree import READER_DN, READER_PW, SEARCH_BASE, tree
from vmaild.wire import netstring

REQUEST = netstring.encode(b"virtual_mailbox_maps user1@domain1.example")
REPLY = netstring.encode(b"OK domain1.example/user1/")
CLIENTS = 4
KILLS = 4
# Postfix waits 100 seconds for a reply; a start takes far less than this.
PATIENCE = 30.0

CONFIGURATION = """\
preset = "courier"
[directory]
uri = ["{uri}"]
search_base = "{search_base}"
bind_dn = "{bind_dn}"
bind_pw = "{bind_pw}"
[[listen]]
address = "inet:127.0.0.1:{port}"
[control]
address = "unix:{home}/control.sock"
"""

# Turns into the daemon, with its own process number and the listener as the first descriptor (sd_listen_fds(3)).
HAND_OVER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.argv[2], sys.argv[2:])
"""


@pytest.fixture(scope="module")
def slapd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    server = Slapd(tmp_path_factory.mktemp("slapd"), ldif=tree())
    server.start()
    yield server
    server.stop()


class Unit:
    """The listening socket and the process that serves it, as systemd keeps them."""

    def __init__(self, home: Any, slapd: Any) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.address = self.listener.getsockname()
        self._configuration = home / "vmaild.toml"
        self._configuration.write_text(
            CONFIGURATION.format(
                uri=slapd.uri,
                search_base=SEARCH_BASE,
                bind_dn=READER_DN,
                bind_pw=READER_PW,
                port=self.address[1],
                home=home,
            )
        )
        self._configuration.chmod(0o600)
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(str(home / "notify"))
        self._notify_path = str(home / "notify")
        self.process: Any = None

    def start(self) -> None:
        command = [sys.executable, "-m", "vmaild", "serve", "-c", str(self._configuration)]
        self.process = subprocess.Popen(
            [sys.executable, "-c", HAND_OVER, str(self.listener.fileno()), *command],
            env=os.environ | {"LISTEN_FDS": "1", "NOTIFY_SOCKET": self._notify_path},
            pass_fds=[self.listener.fileno()],
        )

    def wait_until_ready(self) -> None:
        while select.select([self._notify], [], [], PATIENCE)[0]:
            if self._notify.recv(4096).startswith(b"READY=1"):
                return
        pytest.fail("the daemon was never ready")

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(PATIENCE)

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(PATIENCE)
        self._notify.close()
        self.listener.close()


@pytest.fixture
def unit(tmp_path: Path, slapd: Any) -> Iterator[Any]:
    unit = Unit(tmp_path, slapd)
    unit.start()
    try:
        unit.wait_until_ready()
        yield unit
    finally:
        unit.close()


class Client(threading.Thread):
    """Looks up without a pause, as dict_sockmap.c does: once more on a new connection when one ends, no more."""

    def __init__(self, address: Any) -> None:
        super().__init__()
        self._address = address
        self._sock: Any = None
        self.lookups = 0
        self.failures: list[Any] = []
        self.stop = threading.Event()

    def run(self) -> None:
        while not self.stop.is_set():
            try:
                reply = self._ask() or self._ask()
            except OSError as error:
                reply = repr(error)
            if reply != REPLY:
                self.failures.append(reply)
            self.lookups += 1
        self._hang_up()

    def _ask(self) -> Any:
        """The reply, or None when the connection ended."""
        self._sock = self._sock or socket.create_connection(self._address, timeout=PATIENCE)
        received = b""
        try:
            self._sock.sendall(REQUEST)
            while not received.endswith(b","):
                chunk = self._sock.recv(4096)
                if not chunk:
                    break
                received += chunk
        except ConnectionError:
            received = b""
        if not received.endswith(b","):
            self._hang_up()
            return None
        return received

    def _hang_up(self) -> None:
        if self._sock is not None:
            self._sock.close()
            self._sock = None


def test_a_killed_daemon_costs_no_lookup_while_its_socket_is_held(unit: Any) -> None:
    clients = [Client(unit.address) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    try:
        wait_for_more(clients)
        for _ in range(KILLS):
            unit.kill()
            unit.start()
            unit.wait_until_ready()
            wait_for_more(clients)
    finally:
        for client in clients:
            client.stop.set()
        for client in clients:
            client.join(PATIENCE)
    assert [client.failures for client in clients] == [[]] * CLIENTS


def wait_for_more(clients: Any) -> None:
    """Waits until each client has got another answer, whatever it was."""
    before = [client.lookups for client in clients]
    end = time.monotonic() + PATIENCE
    while any(client.lookups == old for client, old in zip(clients, before, strict=True)):
        assert time.monotonic() < end
        time.sleep(0.01)
