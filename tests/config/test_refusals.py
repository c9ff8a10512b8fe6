"""What the configuration file refuses, key by key, and what it falls back on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.config.test_config import MINIMAL, problems
from vmaild.config import DEFAULT_CONTROL, control_address
from vmaild.errors import ConfigError

OWN = '[maps.own]\nquery_filter = "(a=b)"\n'
UNIX = '[[listen]]\naddress = "unix:/run/a"\n'


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("listen = 3\n" + MINIMAL, "listen: must be one or more [[listen]] tables"),
        ('log_level = "loud"\n' + MINIMAL, "log_level: must be one of debug, info, warning, error, not 'loud'"),
        ('recipient_delimiter = "é"\n' + MINIMAL, "recipient_delimiter: must be printable ASCII characters"),
        (MINIMAL + '[http]\nmode = "0660"', "[http] address: is missing"),
        (MINIMAL + '[control]\naddress = "inet:127.0.0.1:1"', "[control] address: must be a unix: address"),
        (MINIMAL + UNIX + 'mode = "rw"', "[listen 1] mode: 'rw' must be an octal file mode such as \"0660\""),
        (MINIMAL + UNIX + 'mode = "1777"', "[listen 1] mode: '1777' must be an octal file mode such as \"0660\""),
        (MINIMAL + UNIX + "allow_uid = []",
         "[listen 1] allow_uid: is empty: write users or groups by name or number, or leave it out"),
        (MINIMAL + OWN + "size_limit = true", "[maps.own] size_limit: must be a whole number, not a boolean"),
        (MINIMAL + OWN + 'result_format = "%x"', "[maps.own] result_format: '%x': unknown %x"),
        (MINIMAL + OWN + 'keys = "exact"\ncanary = ""',
         "[maps.own] canary: is empty: write a key that must always be found, or leave it out"),
        (MINIMAL + "[maps.own]\nquery = []", "[maps.own] query: must be a list of tables"),
        (MINIMAL + '[maps.own]\nquery_filter = "(a=b)"\nrecord = "r"\n'
         '[maps.other]\nquery_filter = "(a=b)"\nkeys = "exact"\nrecord = "r"',
         "[maps.other] record: map 'own' of the same record has keys = 'address'"),
        (MINIMAL + '[postfix]\nmydestination = "hash:/etc/x"',
         "[postfix] mydestination: 'hash:/etc/x': an indexed file is not read; name its source as texthash:FILE, or"
         " write the domains out"),
    ],
)  # fmt: skip
def test_a_value_that_means_nothing_names_its_key(read: Any, text: str, problem: str) -> None:
    assert problems(read, text) == [problem]


@pytest.mark.parametrize(
    "text", ["", "x = =", "[control]", "control = 3", "[control]\naddress = 3", '[control]\nother = ""']
)
def test_a_broken_file_still_names_the_default_control_socket(tmp_path: Path, text: str) -> None:
    path = tmp_path / "vmaild.toml"
    path.write_text(text)
    assert control_address(path) == DEFAULT_CONTROL


def test_only_the_default_file_may_be_absent_for_the_control_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    absent = tmp_path / "absent.toml"
    with pytest.raises(ConfigError, match=r"absent\.toml: No such file or directory"):
        control_address(absent)
    monkeypatch.setattr("vmaild.config.DEFAULT_PATH", absent)
    assert control_address(absent) == DEFAULT_CONTROL


def test_the_control_socket_is_found_whatever_else_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "vmaild.toml"
    path.write_text('nonsense = 1\n[control]\naddress = "unix:/run/other"\n')
    assert control_address(path) == "unix:/run/other"


def test_a_credential_that_cannot_be_read_is_a_problem_and_no_other_password_is_taken(
    read: Any, tmp_path: Path
) -> None:
    """A file that fails for root too, who may read any other."""
    (tmp_path / "bind_pw").symlink_to("/proc/self/mem")
    (tmp_path / "pw").write_text("from the file\n")
    (tmp_path / "pw").chmod(0o600)
    text = MINIMAL + 'bind_dn = "cn=x"\nbind_pw_file = "pw"\n'
    with pytest.raises(ConfigError, match=r"bind_pw_file: .*Input/output error"):
        read(text, {"CREDENTIALS_DIRECTORY": str(tmp_path)})
