"""``vmaild demo``, run as users run it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from vmaild.demo.lookups import Row, failures, table
from vmaild.demo.postfix import Postfix
from vmaild.demo.slapd import free_port
from vmaild.lookup import NOT_FOUND, found, temporary

SECONDS = 60.0


def command(port: int, *more: str) -> list[str]:
    return [sys.executable, "-m", "vmaild", "demo", "--port", str(port), *more]


def environment(home: Path) -> dict[str, str]:
    return {**os.environ, "TMPDIR": str(home)}


def ended(home: Path, arguments: list[str]) -> subprocess.CompletedProcess[str]:
    """Run the demo to its end."""
    return subprocess.run(
        arguments, env=environment(home), capture_output=True, text=True, timeout=SECONDS, check=False
    )


def processes_of(home: Path) -> list[str]:
    """The command lines of the processes that name ``home``."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = file.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(home) in line:
            found.append(line)
    return found


def left_behind(home: Path, port: int) -> list[str]:
    """Processes, files and a listener that outlived the demo."""
    with socket.socket() as probe:
        listener = [f"port {port}"] if probe.connect_ex(("127.0.0.1", port)) == 0 else []
    return processes_of(home) + [str(path) for path in home.rglob("*")] + listener


@pytest.fixture
def home() -> Iterator[Path]:
    """Of a short path: a unix socket's may have 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="vmaild-test-") as name:
        yield Path(name)


def test_once_prints_the_table_and_leaves_nothing_behind(home: Path) -> None:
    port = free_port()

    done = ended(home, command(port, "--once"))

    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.split() for line in done.stdout.splitlines()]
    answers = {(line[0], line[1]): line[2] for line in lines if len(line) > 2 and line[0].startswith("virtual_")}
    assert answers["virtual_mailbox_domains", "domain1.example"] == "domain1.example"
    assert answers["virtual_mailbox_maps", "User2@Domain2.Example"] == "domain2.example/user2/"
    assert answers["virtual_alias_maps", "user1+lists@domain3.example"] == "fred+lists@otherdomain.example"
    postmasters = "user1@domain2.example,user3@domain2.example"
    assert answers["virtual_alias_maps", "postmaster@domain2.example"] == postmasters
    assert answers["virtual_alias_maps", "anything@domain3.example"] == "user3@domain3.example"
    assert done.stdout.count("(not found)") == 3
    for name in ("virtual_mailbox_domains", "virtual_mailbox_maps", "virtual_alias_maps"):
        assert [name, "=", f"socketmap:inet:127.0.0.1:{port}:{name}"] in lines
    assert left_behind(home, port) == []


def test_a_failed_lookup_is_shown_and_counted() -> None:
    rows = [
        Row("virtual_alias_maps", "a@domain1.example", temporary("directory unavailable"), "a failure"),
        Row("virtual_mailbox_maps", "longer@domain1.example", found(b"domain1.example/longer/"), "an account"),
        Row("virtual_alias_maps", "c@domain1.example", NOT_FOUND, "an answer too"),
    ]

    assert failures(rows) == 1
    assert table(rows).splitlines() == [
        "map                   key                     answer",
        "virtual_alias_maps    a@domain1.example       (TEMP: directory unavailable)  a failure",
        "virtual_mailbox_maps  longer@domain1.example  domain1.example/longer/        an account",
        "virtual_alias_maps    c@domain1.example       (not found)                    an answer too",
    ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_stays_up_until_told_to_end(home: Path, tmp_path: Path, number: signal.Signals) -> None:
    port = free_port()
    postfix = Postfix(tmp_path / "postfix", {})
    postfix.configure()
    with subprocess.Popen(
        command(port), env=environment(home), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as demo:
        assert demo.stdout is not None
        printed = ""
        while "Ctrl-C" not in printed:
            line = demo.stdout.readline()
            assert line, demo.communicate()
            printed += line
        (line,) = [line for line in printed.splitlines() if line.startswith("postmap -q ")]
        _, _, key, table = line.split()

        answer = postfix.lookup(table, key)
        demo.send_signal(number)
        _, errors = demo.communicate(timeout=SECONDS)

    assert (answer.status, answer.value) == (0, "domain2.example/user2/")
    assert (demo.returncode, errors) == (0, "")
    assert left_behind(home, port) == []


@pytest.mark.parametrize("delay", [0.0, 0.3, 0.5, 0.7, 0.9])
def test_a_signal_while_it_starts_leaves_nothing_behind(home: Path, delay: float) -> None:
    port = free_port()
    with subprocess.Popen(
        command(port), env=environment(home), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as demo:
        time.sleep(delay)
        demo.send_signal(signal.SIGTERM)
        demo.wait(SECONDS)

    assert left_behind(home, port) == []


def test_a_taken_port_is_said_plainly(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        done = ended(home, command(port, "--once"))

    assert done.returncode == os.EX_UNAVAILABLE
    assert done.stderr == f"vmaild demo: port {port} on 127.0.0.1: Address already in use; --port takes another\n"
    assert left_behind(home, 0) == []


@pytest.mark.parametrize("port", [0, 65536, -1])
def test_a_port_that_cannot_be_is_said_plainly(home: Path, port: int) -> None:
    done = ended(home, command(port, "--once"))

    assert done.returncode == os.EX_UNAVAILABLE
    assert done.stderr == f"vmaild demo: port {port} on 127.0.0.1: no such port; --port takes another\n"


@pytest.mark.parametrize("victim", ["slapd", "vmaild serve"])
def test_it_ends_when_one_of_its_services_has_ended(home: Path, victim: str) -> None:
    port = free_port()
    with subprocess.Popen(
        command(port), env=environment(home), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as demo:
        assert demo.stdout is not None
        while "Ctrl-C" not in (line := demo.stdout.readline()):
            assert line, demo.communicate()
        os.kill(child_of(demo.pid, victim), signal.SIGKILL)
        _, errors = demo.communicate(timeout=SECONDS)

    assert demo.returncode == 1
    assert errors.startswith(f"vmaild demo: {victim.split()[0]} has ended")
    assert left_behind(home, port) == []


def test_its_services_end_with_it_when_it_is_killed(home: Path) -> None:
    port = free_port()
    with subprocess.Popen(command(port), env=environment(home), stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        while "Ctrl-C" not in (line := demo.stdout.readline()):
            assert line
        assert len(processes_of(home)) == 2
        demo.kill()

    give_up = time.monotonic() + SECONDS
    while processes_of(home) and time.monotonic() < give_up:
        time.sleep(0.05)
    assert processes_of(home) == []


def child_of(parent: int, word: str) -> int:
    """The process id of the child of ``parent`` with ``word`` in its command line."""
    for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
        if word in Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode():
            return int(pid)
    raise AssertionError(f"no child {word!r}")
