"""``vmaild demo --mail``: a message along each row of the lookups, and where it landed."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.e2e.test_demo import SECONDS, command, ended, environment, left_behind, processes_of
from tests.support.directory import SNIPPETS
from vmaild import demo
from vmaild.demo import mail
from vmaild.demo.lookups import LOOKUPS
from vmaild.demo.mail import Sent, failures
from vmaild.demo.slapd import free_port

LANDED = {
    "postmaster@domain1.example": "domain1.example/user1/",
    "User2@Domain2.Example": "domain2.example/user2/",
    "john.doe@domain1.example": "domain1.example/user1/",
    "user1@domain3.example": "fred@otherdomain.example (elsewhere)",
    "user1+lists@domain3.example": "fred+lists@otherdomain.example (elsewhere)",
    "info@domain1.example": "domain1.example/user1/, domain1.example/user2/",
    "postmaster@domain2.example": "domain2.example/user1/, domain2.example/user3/",
    "anything@domain3.example": "domain3.example/user3/",
    "user2@domain3.example": "domain3.example/user2/",
}


@pytest.fixture
def home(service_home: Path) -> Path:
    """Postfix's programs give up root, and pytest's own directories are closed to others."""
    home = service_home / "demo"
    home.mkdir(exist_ok=True)
    return home


def test_once_shows_where_each_message_landed_and_leaves_nothing_behind(home: Path) -> None:
    port = free_port()

    done = ended(home, command(port, "--once", "--mail"))

    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.partition("one message for each row:")[2].strip().splitlines()[1:]
    assert len(lines) == len(LOOKUPS)
    answers = {line.split()[0]: line for line in lines}
    for recipient, landed in LANDED.items():
        assert f"  250 2.1.5  {landed}  " in answers[recipient]
    assert "  554 5.7.1  -  " in answers["postmaster@elsewhere.example"]
    assert "  550 5.1.1  -  " in answers["nobody@domain1.example"]
    assert left_behind(home, port) == []


def test_its_services_end_with_it_when_it_is_killed(home: Path) -> None:
    port = free_port()
    with subprocess.Popen(
        command(port, "--mail"), env=environment(home), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        while "Ctrl-C" not in (line := running.stdout.readline()):
            assert line, running.communicate()
        running.send_signal(signal.SIGKILL)

    give_up = time.monotonic() + SECONDS
    while processes_of(home) and time.monotonic() < give_up:
        time.sleep(0.05)
    assert processes_of(home) == []


def test_without_root_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    assert demo.run(once=True, port=free_port(), with_mail=True) == os.EX_UNAVAILABLE
    assert capsys.readouterr() == ("", "vmaild demo: Postfix's master(8) needs root\n")


def test_a_message_put_off_or_lost_is_a_failure_and_a_refused_one_is_not() -> None:
    messages = [
        Sent("a@domain1.example", "250 2.1.5", ("domain1.example/a/",), ""),
        Sent("b@domain1.example", "250 2.1.5", (), ""),
        Sent("c@domain1.example", "451 4.3.0", (), ""),
        Sent("d@domain1.example", "550 5.1.1", (), ""),
    ]

    assert failures(messages) == 2


def test_its_tables_are_those_of_the_snippets() -> None:
    for name, lines in mail._TABLES.items():
        snippet = {" ".join(line.split()) for line in (SNIPPETS / name).read_text().splitlines()}
        assert set(lines) <= snippet
