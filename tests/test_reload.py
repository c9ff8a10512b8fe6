"""SIGHUP and ``vmaild reload``: another configuration takes over, or is refused, while lookups go on."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.directory.certificates import Authority
from vmaild import admin, cli
from vmaild.demo.ask import ask
from vmaild.demo.daemon import DaemonProcess, Listen
from vmaild.demo.slapd import Slapd, Tls, free_port
from vmaild.demo.tree import READER_DN, SEARCH_BASE, tree
from vmaild.errors import ConfigError
from vmaild.listening import parse_address
from vmaild.lookup import Status
from vmaild.wire import netstring

KEY = "user1@domain1.example"
REQUEST = netstring.encode(f"virtual_mailbox_maps {KEY}".encode())
REPLY = netstring.encode(b"OK domain1.example/user1/")
PATIENCE = 30.0


@pytest.fixture(scope="module")
def slapd(service_home: Path) -> Iterator[Slapd]:
    with Slapd(service_home / "slapd", ldif=tree()) as running:
        yield running


@pytest.fixture
def daemon(tmp_path: Path, slapd: Slapd) -> Iterator[DaemonProcess]:
    running = DaemonProcess(tmp_path, [slapd.uri], [Listen(f"inet:127.0.0.1:{free_port()}")])
    running.start()
    yield running
    assert running.running, running.last_words()
    assert running.stop() == 0


def control(daemon: DaemonProcess) -> str:
    return str(daemon.home / "control.sock")


def edit(daemon: DaemonProcess, old: str, new: str) -> None:
    text = daemon.configuration.read_text()
    assert text.count(old) == 1
    daemon.configuration.write_text(text.replace(old, new))


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


class Client:
    """One connection, which must stay open."""

    def __init__(self, daemon: DaemonProcess) -> None:
        address = daemon.address
        self._sock = socket.create_connection((address.host, address.port), timeout=PATIENCE)

    def ask(self) -> bytes:
        self._sock.sendall(REQUEST)
        received = b""
        while not received.endswith(b",") and (chunk := self._sock.recv(4096)):
            received += chunk
        return received

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._sock.close()


def misses(daemon: DaemonProcess) -> int:
    """Lookups that the cache did not answer."""
    counted: int = admin.stats(control(daemon))["cache"]["misses"]
    return counted


def test_a_reload_closes_no_connection_and_keeps_the_records(daemon: DaemonProcess) -> None:
    with Client(daemon) as client:
        assert client.ask() == REPLY
        before = misses(daemon)
        edit(daemon, 'recipient_delimiter = "+"', 'recipient_delimiter = "+"\nlog_level = "debug"')
        assert "0 forgotten" in admin.reload(control(daemon))
        assert client.ask() == REPLY
        assert misses(daemon) == before
    until(lambda: "reloaded" in daemon.last_words())


def test_records_of_a_map_that_means_something_else_are_forgotten(daemon: DaemonProcess) -> None:
    edit(daemon, "[control]", '[maps.other]\nquery_filter = "(mail=%s)"\nresult_attribute = "mailbox"\n[control]')
    admin.reload(control(daemon))
    assert ask(daemon.address, "other", KEY).text == b"domain1.example/user1/"
    with Client(daemon) as client:
        assert client.ask() == REPLY
        before = misses(daemon)
        edit(daemon, 'result_attribute = "mailbox"', 'result_attribute = "mail"')
        assert "1 forgotten" in admin.reload(control(daemon))
        assert client.ask() == REPLY
        assert misses(daemon) == before
    assert KEY.encode() in ask(daemon.address, "other", KEY).text


def test_records_of_several_directories_stay_while_all_are_the_same(daemon: DaemonProcess, slapd: Slapd) -> None:
    host, base = slapd.uri.replace("127.0.0.1", "localhost"), SEARCH_BASE
    password = (daemon.home / "bind_pw").read_text().strip()
    table = f"server_host = {host}\nsearch_base = {base}\nversion = 3\n"
    table += f"bind_dn = {READER_DN}\nbind_pw = {password}\n"
    (daemon.home / "filed.cf").write_text(f"{table}query_filter = (mail=%s)\nresult_attribute = mailbox\n")
    edit(daemon, "[control]", '[maps.filed]\ncf = "filed.cf"\n[control]')
    with Client(daemon) as client:
        assert client.ask() == REPLY
        assert " 0 forgotten" not in admin.reload(control(daemon))
        assert len(admin.stats(control(daemon))["directory"]["servers"]) == 2
        assert client.ask() == REPLY
        assert ask(daemon.address, "filed", KEY).text == b"domain1.example/user1/"
        before = misses(daemon)
        edit(daemon, 'recipient_delimiter = "+"', 'recipient_delimiter = "+"\nlog_level = "debug"')
        assert "0 forgotten" in admin.reload(control(daemon))
        assert client.ask() == REPLY
        assert ask(daemon.address, "filed", KEY).text == b"domain1.example/user1/"
        assert misses(daemon) == before


def test_a_broken_file_is_refused_with_every_problem_and_the_old_one_goes_on(
    daemon: DaemonProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    good = daemon.configuration.read_text()
    edit(daemon, 'preset = "courier"', 'preset = "currier"\nwatchdog = -1')
    assert cli.main(["reload", "-c", str(daemon.configuration)]) == os.EX_CONFIG
    told = capsys.readouterr().err
    assert "currier" in told
    assert "watchdog" in told
    with Client(daemon) as client:
        assert client.ask() == REPLY
    until(lambda: "the old configuration goes on" in daemon.last_words())
    daemon.configuration.write_text(good)
    assert cli.main(["reload", "-c", str(daemon.configuration)]) == os.EX_OK
    assert "reloaded: 6 maps" in capsys.readouterr().out


def test_vmaild_reload_prints_json_for_a_program(daemon: DaemonProcess, capsys: pytest.CaptureFixture[str]) -> None:
    # Was: --json was accepted, and text printed.
    assert cli.main(["reload", "--json", "-c", str(daemon.configuration)]) == os.EX_OK
    assert "6 maps" in json.loads(capsys.readouterr().out)["reloaded"]
    edit(daemon, 'preset = "courier"', 'preset = "currier"')
    assert cli.main(["reload", "--json", "-c", str(daemon.configuration)]) == os.EX_CONFIG
    problem, *_ = json.loads(capsys.readouterr().out)["refused"]
    assert "currier" in problem


def test_vmaild_reload_prints_what_the_daemon_refuses_and_ends_with_78(
    daemon: DaemonProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    (daemon.home / "bind_pw").write_text("wrong\n")
    assert cli.main(["reload", "-c", str(daemon.configuration)]) == os.EX_CONFIG
    told = capsys.readouterr().err
    assert "cannot be used" in told
    assert "while the old configuration has one" in told
    with Client(daemon) as client:
        assert client.ask() == REPLY


def test_sighup_reloads_and_never_ends_the_daemon(daemon: DaemonProcess) -> None:
    port = free_port()
    with Client(daemon) as client:
        for _ in range(20):
            os.kill(daemon.pid, signal.SIGHUP)
            assert client.ask() == REPLY
        edit(daemon, "[control]", f'[[listen]]\naddress = "inet:127.0.0.1:{port}"\n[control]')
        os.kill(daemon.pid, signal.SIGHUP)
        address = parse_address(f"inet:127.0.0.1:{port}")

        def answers() -> bool:
            try:
                return ask(address, "virtual_mailbox_maps", KEY).status is Status.FOUND
            except ConnectionRefusedError:
                return False

        until(answers)
        assert client.ask() == REPLY


def test_a_listener_that_goes_answers_no_more_and_the_others_stay(daemon: DaemonProcess) -> None:
    port = free_port()
    more = f'[[listen]]\naddress = "inet:127.0.0.1:{port}"\nprotocol = "tcp_table"\nmap = "virtual_mailbox_maps"\n'
    edit(daemon, "[control]", f"{more}[control]")
    admin.reload(control(daemon))
    with Client(daemon) as client, socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as other:
        other.sendall(f"get {KEY}\n".encode())
        assert other.recv(4096) == b"200 domain1.example/user1/\n"
        edit(daemon, more, "")
        admin.reload(control(daemon))
        assert other.recv(4096) == b""
        assert client.ask() == REPLY
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)


def test_an_address_that_cannot_be_had_is_refused_and_nothing_has_changed(daemon: DaemonProcess) -> None:
    taken = socket.create_server(("127.0.0.1", 0))
    free = free_port()
    more = f'[[listen]]\naddress = "inet:127.0.0.1:{free}"\n'
    more += f'[[listen]]\naddress = "inet:127.0.0.1:{taken.getsockname()[1]}"\n'
    edit(daemon, "[control]", f"{more}[control]")
    with taken, pytest.raises(ConfigError, match="in use"):
        admin.reload(control(daemon))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", free), timeout=PATIENCE)
    with Client(daemon) as client:
        assert client.ask() == REPLY


def test_the_pages_and_the_watchdog_follow(daemon: DaemonProcess) -> None:
    port = free_port()
    edit(daemon, "[control]", f'[http]\naddress = "inet:127.0.0.1:{port}"\n[control]')
    edit(daemon, 'preset = "courier"', 'preset = "courier"\nwatchdog = 5')
    admin.reload(control(daemon))
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as monitor:
        monitor.sendall(b"GET /ready HTTP/1.0\r\n\r\n")
        assert b" 200 " in monitor.recv(4096)
    edit(daemon, f'[http]\naddress = "inet:127.0.0.1:{port}"\n', "")
    admin.reload(control(daemon))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)


def test_certificates_are_read_again(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for home in (first, second):
        home.mkdir()
    authority, other = Authority(first), Authority(second)
    cert, key = authority.issue("/CN=localhost", "DNS:localhost")
    with Slapd(tmp_path / "slapd", ldif=tree(), tls=Tls(cert, key)) as server:
        trusted = tmp_path / "ca.pem"
        trusted.write_bytes(authority.ca.read_bytes())
        listens = [Listen(f"inet:127.0.0.1:{free_port()}")]
        directory = f'tls_ca_cert_file = "{trusted}"'
        daemon = DaemonProcess(tmp_path, [f"ldaps://localhost:{server.tls_port}"], listens, directory=directory)
        daemon.start()
        trusted.write_bytes(other.ca.read_bytes())
        with pytest.raises(ConfigError, match="cannot be used"):
            admin.reload(control(daemon))
        trusted.write_bytes(authority.ca.read_bytes())
        assert "reloaded" in admin.reload(control(daemon))
        assert daemon.stop() == 0


def change_mailbox(slapd: Slapd, user: str, mailbox: str) -> None:
    slapd.modify(
        f"dn: mail={user}@domain1.example,o=domain1.example,{SEARCH_BASE}\nchangetype: modify\n"
        f"replace: mailbox\nmailbox: domain1.example/{mailbox}/\n"
    )


def test_changes_are_heard_on_after_a_reload_and_what_did_not_change_stays(tmp_path: Path) -> None:
    other = "user2@domain1.example"
    with Slapd(tmp_path / "slapd", ldif=tree(), syncprov=True) as slapd:
        running = DaemonProcess(tmp_path, [slapd.uri], [Listen(f"inet:127.0.0.1:{free_port()}")])
        running.start()
        until(lambda: admin.stats(control(running))["changes"]["mode"] == "sync")
        with Client(running) as client:
            assert client.ask() == REPLY
            assert ask(running.address, "virtual_mailbox_maps", other).text == b"domain1.example/user2/"
            edit(running, 'recipient_delimiter = "+"', 'recipient_delimiter = "+"\nlog_level = "debug"')
            assert "0 forgotten" in admin.reload(control(running))
            # Nobody has asked for it since, and what it was made from was noted before the reload.
            change_mailbox(slapd, "user1", "elsewhere")
            until(lambda: admin.stats(control(running))["changes"]["changes_heard"] >= 1)
            assert client.ask() == netstring.encode(b"OK domain1.example/elsewhere/")
            before = misses(running)
            assert ask(running.address, "virtual_mailbox_maps", other).text == b"domain1.example/user2/"
            assert misses(running) == before
            assert admin.stats(control(running))["changes"]["cache_aged"] == 0
        assert running.stop() == 0
