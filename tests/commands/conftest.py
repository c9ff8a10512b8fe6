"""A real directory and a running daemon in front of it, and the commands as an administrator types them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vmaild import admin, cli
from vmaild.demo.daemon import DaemonProcess, Listen
from vmaild.demo.slapd import Slapd, free_port
from vmaild.demo.tree import tree

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def slapd(service_home: Path) -> Iterator[Slapd]:
    with Slapd(service_home / "slapd", ldif=tree()) as running:
        yield running


@pytest.fixture(scope="module")
def http_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def daemon(service_home: Path, slapd: Slapd, http_port: int) -> Iterator[DaemonProcess]:
    listens = [Listen(f"inet:127.0.0.1:{free_port()}")]
    tables = f'[http]\naddress = "inet:127.0.0.1:{http_port}"'
    running = DaemonProcess(service_home, [slapd.uri], listens, tables=tables)
    running.start()
    yield running
    assert running.stop() == 0


@pytest.fixture(autouse=True)
def _logging(logging_as_before: None) -> None:
    """For every test of a command."""


@pytest.fixture
def vmaild(capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs ``vmaild ARGUMENTS``; gives its exit status and what it wrote."""

    def run(*arguments: str) -> tuple[int, str, str]:
        capfd.readouterr()
        status: int | str | None
        try:
            status = cli.main(list(arguments))
        except SystemExit as end:
            status = end.code
        out, err = capfd.readouterr()
        assert isinstance(status, int)
        return status, out, err

    return run


@pytest.fixture
def run(daemon: DaemonProcess, vmaild: Run) -> Run:
    """The same on the configuration of the running daemon."""

    def with_configuration(command: str, *arguments: str) -> tuple[int, str, str]:
        return vmaild("-c", str(daemon.configuration), command, *arguments)

    return with_configuration


@pytest.fixture
def configured(tmp_path: Path, daemon: DaemonProcess) -> Callable[..., str]:
    """Writes the daemon's configuration with texts replaced; gives its path."""

    def write(*changes: tuple[str, str]) -> str:
        text = daemon.configuration.read_text()
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / "changed.toml"
        path.write_text(text)
        return str(path)

    return write


@pytest.fixture
def changed(slapd: Slapd) -> Callable[..., contextlib.AbstractContextManager[None]]:
    """Adds entries for the time of a ``with``."""

    @contextlib.contextmanager
    def adding(ldif: str) -> Iterator[None]:
        slapd.add(ldif)
        try:
            yield
        finally:
            names = [line.removeprefix("dn: ") for line in ldif.splitlines() if line.startswith("dn: ")]
            slapd.modify("\n".join(f"dn: {name}\nchangetype: delete\n" for name in reversed(names)))

    return adding


@pytest.fixture
def outage(slapd: Slapd, daemon: DaemonProcess) -> Callable[[], contextlib.AbstractContextManager[None]]:
    """Stops the directory for the time of a ``with``, and waits until the daemon has noticed that it is back."""

    @contextlib.contextmanager
    def stopped() -> Iterator[None]:
        slapd.stop()
        try:
            yield
        finally:
            slapd.start()
            path = str(daemon.home / "control.sock")
            while not admin.ask(path, b"status")["status"]["servers"][0]["up"]:
                time.sleep(0.02)

    return stopped
