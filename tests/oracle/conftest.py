"""What the comparisons need: a directory for Postfix's configuration, and tables written for a slapd."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.oracle.postfix_side import Postmap
from tests.oracle.table_files import Settings


@pytest.fixture(scope="module")
def postmap(service_home: Path) -> Postmap:
    config = service_home / "postfix"
    config.mkdir()
    (config / "main.cf").write_text("compatibility_level = 3.7\n")
    aged(config / "main.cf")
    (config / "master.cf").touch()
    return Postmap(config)


def write_table(file: Path, uri: str, settings: Settings) -> Path:
    """An ldap_table(5) file for the server at ``uri``, asked anonymously."""
    lines = {"server_host": uri, "version": "3", "bind": "no", **settings}
    file.write_text("".join(f"{name} = {value}\n" for name, value in lines.items()))
    return aged(file)


def aged(file: Path) -> Path:
    """The file as if it had been written long ago: Postfix waits two seconds for a fresh one to be complete."""
    os.utime(file, (0, 0))
    return file
