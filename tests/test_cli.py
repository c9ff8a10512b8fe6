"""The commands, their output and their exit status, on a real directory and a running daemon."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vmaild import __version__, cli
from vmaild.demo.ask import ask
from vmaild.demo.daemon import DaemonProcess, Listen
from vmaild.demo.process import Process
from vmaild.demo.slapd import Slapd, free_port
from vmaild.demo.tree import READER_DN, READER_PW, SEARCH_BASE, tree
from vmaild.listening import parse_address
from vmaild.lookup import NOT_FOUND, Status

pytestmark = pytest.mark.usefixtures("logging_as_before")


@pytest.fixture(scope="module")
def slapd(service_home: Path) -> Iterator[Slapd]:
    with Slapd(service_home / "slapd", ldif=tree()) as running:
        yield running


@pytest.fixture(scope="module")
def daemon(service_home: Path, slapd: Slapd) -> Iterator[DaemonProcess]:
    running = DaemonProcess(
        service_home,
        [slapd.uri],
        [Listen(f"inet:127.0.0.1:{free_port()}")],
        tables='[maps.virtual_mailbox_maps]\ncanary = "user2@domain2.example"',
    )
    running.start()
    yield running
    assert running.stop() == 0


@pytest.fixture
def run(daemon: DaemonProcess, capfd: pytest.CaptureFixture[str]) -> Any:
    def run_command(command: str, *arguments: str) -> tuple[int, str, str]:
        capfd.readouterr()
        status = cli.main([command, "-c", str(daemon.configuration), *arguments])
        out, err = capfd.readouterr()
        return status, out, err

    return run_command


def test_check_of_a_good_file_says_so(run: Any) -> None:
    status, out, err = run("check", "--offline")
    assert (status, err) == (0, "")
    assert "no problem found; maps: 6, listeners: 1" in out


@pytest.mark.parametrize("command", ["check", "serve", "query"])
def test_a_bad_file_ends_with_78_and_every_problem(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.toml"
    path.write_text('preset = "courrier"\n[directory]\nuri = ["http://x"]\nsearch_base = "o=x"\n')
    more = ["virtual_alias_maps", "x@y"] if command == "query" else []
    assert cli.main([command, "-c", str(path), *more]) == os.EX_CONFIG
    err = capsys.readouterr().err
    assert f"{path}: preset: " in err
    assert f"{path}: [directory] uri: " in err


def test_query_prints_the_value_found(run: Any) -> None:
    assert run("query", "virtual_mailbox_maps", "User2+x@Domain2.example")[:2] == (0, "domain2.example/user2/\n")


def test_query_of_an_absent_key_prints_nothing_and_ends_with_1(run: Any) -> None:
    assert run("query", "virtual_mailbox_maps", "nobody@domain2.example") == (1, "", "")


def test_query_of_an_unknown_map_names_the_nearest(run: Any) -> None:
    status, out, err = run("query", "virtual_alias_map", "x@y")
    assert (status, out) == (os.EX_USAGE, "")
    assert "did you mean 'virtual_alias_maps'?" in err


def until_the_directory_is_noticed(daemon: DaemonProcess) -> None:
    """Wait until the daemon has found out that slapd is back, for the tests to come."""
    for number in range(1000):
        if ask(daemon.address, "virtual_uid_maps", f"never{number}@domain1.example").status is not Status.TEMPORARY:
            return
        time.sleep(0.02)
    raise AssertionError("the daemon does not notice that the directory is back")


def test_query_ends_with_75_while_the_directory_is_down(run: Any, daemon: DaemonProcess, slapd: Slapd) -> None:
    slapd.stop()
    try:
        status, out, err = run("query", "virtual_mailbox_maps", "user2@domain2.example")
    finally:
        slapd.start()
        until_the_directory_is_noticed(daemon)
    assert (status, out) == (os.EX_TEMPFAIL, "")
    assert "directory unavailable" in err


def test_flush_forgets_one_answer_one_map_or_all(run: Any, daemon: DaemonProcess) -> None:
    while json.loads(run("stats")[1])["changes"].get("hosted_domains") != 3:
        time.sleep(0.02)  # from then on what is not hosted is not cached
    run("flush")
    for key in ("domain1.example", "domain2.example", "nowhere.example"):
        ask(daemon.address, "virtual_mailbox_domains", key)
    for key in ("user1@domain1.example", "user2@domain2.example", "nobody@domain2.example"):
        for name in ("virtual_uid_maps", "virtual_gid_maps"):  # of one record
            ask(daemon.address, name, key)
    assert run("flush", "virtual_uid_maps", "User1@domain1.example")[1] == "1 answers forgotten\n"
    assert run("flush", "virtual_gid_maps", "user1@domain1.example")[1] == "0 answers forgotten\n"
    assert run("flush", "virtual_mailbox_domains")[1] == "2 answers forgotten\n"
    assert run("flush")[1] == "2 answers forgotten\n"
    assert run("flush") == (0, "0 answers forgotten\n", "")


def test_stats_are_json_and_count_lookups(run: Any, daemon: DaemonProcess) -> None:
    ask(daemon.address, "virtual_uid_maps", "user2@domain2.example")
    status, out, _ = run("stats")
    assert status == 0
    assert json.loads(out)


def test_flush_without_a_running_daemon_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "v.toml"
    path.write_text(
        'preset = "courier"\n[directory]\nuri = "ldap://127.0.0.1"\nsearch_base = "o=x"\n'
        f'[control]\naddress = "unix:{tmp_path}/none"\n'
    )
    assert cli.main(["flush", "-c", str(path)]) == os.EX_UNAVAILABLE
    assert f"{tmp_path}/none" in capsys.readouterr().err


def test_version_is_printed() -> None:
    done = subprocess.run([sys.executable, "-m", "vmaild", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"vmaild {__version__}\n"
    assert re.fullmatch(r"\d+\.\d+\.\d+", __version__)


def test_the_canary_of_a_map_lets_not_found_through_when_it_is_there(daemon: DaemonProcess) -> None:
    assert ask(daemon.address, "virtual_mailbox_maps", "nobody@domain2.example") == NOT_FOUND


def test_serve_on_a_taken_address_says_which_and_ends_with_71(daemon: DaemonProcess, tmp_path: Path) -> None:
    path = tmp_path / "v.toml"
    address = str(daemon.address)
    path.write_text(
        'preset = "courier"\n[directory]\nuri = "ldap://127.0.0.1:1"\nsearch_base = "o=x"\n'
        f'[[listen]]\naddress = "{address}"\n[control]\naddress = ""\n'
    )
    done = subprocess.run(
        [sys.executable, "-m", "vmaild", "serve", "-c", str(path)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == os.EX_OSERR
    assert address.removeprefix("inet:") in done.stderr
    assert "Traceback" not in done.stderr


def test_sigterm_answers_what_was_asked_and_ends_with_0(service_home: Path, slapd: Slapd, tmp_path: Path) -> None:
    own = DaemonProcess(tmp_path, [slapd.uri], [Listen(f"inet:127.0.0.1:{free_port()}")])
    own.start()
    address = own.address
    host, port = str(address).removeprefix("inet:").split(":")
    slapd.suspend()
    try:
        with socket.create_connection((host, int(port)), timeout=20) as client:
            client.sendall(b"42:virtual_mailbox_maps user1@domain3.example,")
            os.kill(own.pid, signal.SIGTERM)
            slapd.resume()
            assert client.recv(1000).startswith(b"9:NOTFOUND ,")
            assert client.recv(1000) == b""
    finally:
        slapd.resume()
    assert own.stop() == 0


def test_serve_starts_while_the_directory_is_down_and_answers_once_it_is_up(slapd: Slapd, tmp_path: Path) -> None:
    address = parse_address(f"unix:{tmp_path}/s")
    path = tmp_path / "v.toml"
    path.write_text(
        f'preset = "courier"\n[directory]\nuri = "{slapd.uri}"\nsearch_base = "{SEARCH_BASE}"\n'
        f'bind_dn = "{READER_DN}"\nbind_pw = "{READER_PW}"\n'
        f'[[listen]]\naddress = "{address}"\nmode = "0600"\n[control]\naddress = ""\n'
    )
    own = Process([sys.executable, "-m", "vmaild", "serve", "-c", str(path)], tmp_path / "log")

    def answers(status: Status) -> bool:
        try:
            return ask(address, "virtual_mailbox_maps", "user2@domain2.example").status is status
        except OSError:
            return False

    slapd.stop()
    try:
        own.start(lambda: answers(Status.TEMPORARY), 20)
        assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o600
    finally:
        slapd.start()
    try:
        while not answers(Status.FOUND):
            time.sleep(0.05)
    finally:
        assert own.stop() == 0
    assert not (tmp_path / "s").exists()
