"""The services that the demo and the tests start: on their own files and ports, and gone without a trace."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from vmaild import demo
from vmaild.demo import postfix as postfix_module
from vmaild.demo import slapd as slapd_module
from vmaild.demo.postfix import Postfix
from vmaild.demo.process import PORTS, Process, ProcessError, free_port
from vmaild.demo.slapd import Slapd, SlapdError
from vmaild.demo.tree import BASE, READER_DN, READER_PW, SEARCH_BASE, tree

ORGANIZATION = "objectClass: dcObject\nobjectClass: organization\ndc: other\no: other\n"


def found(uri: str, base: str, *arguments: str, bind: tuple[str, ...] = ("-D", READER_DN, "-w", READER_PW)) -> str:
    command = ["ldapsearch", "-x", "-LLL", "-o", "ldif-wrap=no", "-H", uri, *bind, "-b", base, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_closed_slapd_leaves_no_process_and_no_file(tmp_path: Path) -> None:
    with Slapd(tmp_path / "slapd", ldif=tree()) as slapd:
        pid, port = slapd.pid, slapd.port
        assert exists(pid)

    assert not exists(pid)
    assert list(tmp_path.iterdir()) == []
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_data_and_port_outlive_a_crash(tmp_path: Path) -> None:
    with Slapd(tmp_path / "slapd", ldif=tree()) as slapd:
        uri, first = slapd.uri, slapd.pid
        slapd.modify(f"dn: o=domain3.example,{SEARCH_BASE}\nchangetype: modify\nadd: description\ndescription: kept\n")
        slapd.kill()
        assert not slapd.running
        slapd.start()

        assert slapd.uri == uri
        assert slapd.pid != first
        assert "description: kept" in found(uri, SEARCH_BASE, "(o=domain3.example)")


def test_a_suspended_slapd_accepts_and_stays_silent_and_can_be_stopped(tmp_path: Path) -> None:
    with Slapd(tmp_path / "slapd", ldif=tree()) as slapd:
        slapd.suspend()
        with socket.create_connection(("127.0.0.1", slapd.port), 0.2) as client:
            client.sendall(slapd_module._ANONYMOUS_BIND)
            with pytest.raises(TimeoutError):
                client.recv(1)
            slapd.resume()
            client.settimeout(10)
            assert client.recv(1)
        slapd.suspend()


def test_the_unix_socket_and_the_operation_log(tmp_path: Path) -> None:
    with Slapd(tmp_path / "slapd", ldif=tree(), ldapi=True, log_level="stats") as slapd:
        found(slapd.ldapi_uri, SEARCH_BASE, "(mail=user2@domain2.example)")

        assert 'filter="(mail=user2@domain2.example)"' in slapd.log.read_text()


def test_the_suffix_has_a_context_csn_with_syncprov(tmp_path: Path) -> None:
    with Slapd(tmp_path / "slapd", ldif=tree(), syncprov=True) as slapd:
        assert "contextCSN: " in found(slapd.uri, BASE, "-s", "base", "contextCSN")


def test_another_suffix_is_open_to_everybody(tmp_path: Path) -> None:
    with Slapd(tmp_path / "slapd", base="dc=other", ldif=f"dn: dc=other\n{ORGANIZATION}") as slapd:
        assert "o: other" in found(slapd.uri, "dc=other", bind=())


def test_lines_of_slapd_conf_are_taken(tmp_path: Path) -> None:
    with (
        Slapd(tmp_path / "slapd", ldif=tree(), config=["sizelimit 3"]) as slapd,
        pytest.raises(subprocess.CalledProcessError) as limited,
    ):
        found(slapd.uri, SEARCH_BASE)

    size_limit_exceeded = 4
    assert limited.value.returncode == size_limit_exceeded


def test_content_that_cannot_be_loaded_is_said_plainly_every_time(tmp_path: Path) -> None:
    slapd = Slapd(tmp_path / "slapd", ldif=f"{tree()}\ndn: cn=nowhere\nobjectClass: nothing\n")

    for _ in range(2):
        with pytest.raises(SlapdError, match="cn=nowhere"):
            slapd.start()


def test_a_slapd_that_does_not_start_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(SlapdError), Slapd(tmp_path / "slapd", config=["no-such-keyword"]):
        pass

    assert list(tmp_path.iterdir()) == []


def test_a_missing_slapd_fails_and_names_the_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slapd_module, "SLAPD", str(tmp_path / "no-slapd"))

    with pytest.raises(SlapdError, match="apt-get install slapd ldap-utils"):
        Slapd(tmp_path / "slapd").start()


def test_the_demo_says_that_slapd_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(slapd_module, "SLAPD", str(tmp_path / "no-slapd"))

    assert demo.run(once=True, port=free_port()) == os.EX_UNAVAILABLE
    assert "apt-get install slapd ldap-utils" in capsys.readouterr().err


def test_a_missing_postfix_fails_and_names_the_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postfix_module, "LDAP_TABLE", tmp_path / "no-postfix-ldap.so")

    with pytest.raises(ProcessError, match="apt-get install postfix postfix-ldap"):
        Postfix(tmp_path / "postfix", {}).start()


def test_a_process_that_ends_at_once_tells_its_last_words(tmp_path: Path) -> None:
    process = Process(["sh", "-c", "echo no such luck >&2; exit 3"], tmp_path / "log")

    with pytest.raises(ProcessError, match="no such luck"):
        process.start(lambda: False, seconds=10)

    assert not process.running


def test_a_process_that_is_never_ready_is_killed(tmp_path: Path) -> None:
    process = Process(["sleep", "600"], tmp_path / "log")

    with pytest.raises(ProcessError, match="sleep did not start"):
        process.start(lambda: False, seconds=0.05)

    assert not process.running


def test_a_suspended_process_ends_by_sigterm_too(tmp_path: Path) -> None:
    process = Process(["sleep", "600"], tmp_path / "log")
    process.start(lambda: True, seconds=10)
    process.send(signal.SIGSTOP)

    assert process.stop() == -signal.SIGTERM


def test_a_process_that_ignores_sigterm_gets_sigkill(tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = Process(["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done"], log)
    process.start(lambda: "ready" in log.read_text(), seconds=10)

    assert process.stop(seconds=0.2) == -signal.SIGKILL


def test_a_free_port_is_not_one_that_is_listened_on(monkeypatch: pytest.MonkeyPatch) -> None:
    first = free_port()
    assert first in PORTS
    with socket.create_server(("127.0.0.1", first)):
        monkeypatch.setattr("vmaild.demo.process.PORTS", range(first, first + 1))
        with pytest.raises(ProcessError, match="no port is free"):
            free_port()
