"""``python -m benchmarks keys`` against a real slapd."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.report.output import ROOT
from vmaild.demo.slapd import Slapd
from vmaild.demo.tree import READER_DN, READER_PW, SEARCH_BASE, tree


@pytest.fixture(scope="module")
def slapd(service_home: Path) -> Iterator[Slapd]:
    with Slapd(service_home / "slapd", ldif=tree()) as slapd:
        yield slapd


def keys(*options: str) -> subprocess.CompletedProcess[str]:
    # Another process: vmaild.directory, which other tests import, changes what bonsai makes of an entry.
    command = [sys.executable, "-m", "benchmarks", "keys", "--base", SEARCH_BASE, *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=60)


def test_the_keys_of_a_directory_come_with_their_right_answers(slapd: Slapd, tmp_path: Path) -> None:
    password = tmp_path / "pw"
    password.write_text(f"{READER_PW}\n")
    bind = ("--bind-dn", READER_DN, "--bind-pw-file", str(password))
    done = keys("--directory", slapd.uri, *bind, "--value-attribute", "mailbox", "--others-not-found")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "virtual_mailbox_maps\tuser2@domain2.example\tOK\tdomain2.example/user2/" in lines
    assert lines[-1] == "virtual_mailbox_maps\t*\tNOTFOUND"


def test_a_directory_that_does_not_answer_has_its_own_exit_status(slapd: Slapd) -> None:
    done = keys("--directory", "ldap://127.0.0.1:1")
    assert done.returncode == 2
    assert done.stderr.startswith("keys: ldap://127.0.0.1:1: ")
    wrong = keys("--directory", slapd.uri, "--bind-dn", READER_DN, "--bind-pw-file", "/dev/null")
    assert (wrong.returncode, wrong.stdout) == (2, "")
