"""The unit files, read by systemd's own tools. Needs the package systemd, but not systemd running."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from vmaild.listening import parse_address

UNITS = Path(__file__).parents[2] / "systemd"
PROGRAM = "/opt/vmaild/bin/vmaild"

# systemd's words for what it found: 0 is closed, 10 open. Tenths, as --threshold counts.
WORST_EXPOSURE = 10


@pytest.fixture
def units(tmp_path: Path) -> Any:
    """Copies of the units whose program exists here, since `verify` looks for it."""
    for source in [*UNITS.glob("*.service"), *UNITS.glob("*.socket")]:
        (tmp_path / source.name).write_text(source.read_text().replace(PROGRAM, "/bin/true"))
    return tmp_path


def analyze(*arguments: Any) -> Any:
    return subprocess.run(
        ["systemd-analyze", "--no-pager", *map(str, arguments)],
        check=False,
        timeout=60,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.parametrize("name", ["vmaild", "vmaild@"])
def test_systemd_finds_nothing_wrong_with_the_units(units: Any, name: str) -> None:
    result = analyze("verify", units / f"{name}.service", units / f"{name}.socket")
    assert (result.returncode, result.stdout) == (0, "")


def test_systemd_does_find_a_mistake_in_a_unit(units: Any) -> None:
    service = units / "vmaild.service"
    service.write_text(service.read_text().replace("ProtectSystem=strict", "ProtectSytem=strict"))
    assert "ProtectSytem" in analyze("verify", service).stdout


@pytest.mark.parametrize("name", ["vmaild", "vmaild@"])
def test_the_service_is_exposed_to_little(units: Any, name: str) -> None:
    result = analyze("security", "--offline=true", f"--threshold={WORST_EXPOSURE}", units / f"{name}.service")
    assert result.returncode == 0, result.stdout


def test_an_instance_runs_in_the_same_sandbox() -> None:
    """All but comments and what the name stands in."""

    def settings(name: Any) -> Any:
        lines = (UNITS / name).read_text().replace("%i", "").replace("vmaild@", "vmaild").splitlines()
        return [line for line in lines if line and not line.startswith("#")]

    assert [
        line.replace("vmaild-", "vmaild").replace("/vmaild/.toml", "/vmaild/vmaild.toml")
        .replace("vmaild/.bind_pw", "vmaild/bind_pw").replace("vmaild..root", "vmaild.root").replace(" ()", "")
        for line in settings("vmaild@.service")
    ] == settings("vmaild.service")  # fmt: skip


def test_no_restart_mends_a_configuration_and_a_missing_password_is_vmailds_to_tell() -> None:
    lines = (UNITS / "vmaild.service").read_text().splitlines()
    for line in ("RestartPreventExitStatus=78", "ExecReload=/bin/kill -HUP $MAINPID", "SetCredential=bind_pw:\\n"):
        assert line in lines


def test_the_service_starts_the_program_with_the_default_configuration() -> None:
    lines = (UNITS / "vmaild.service").read_text().splitlines()
    assert f"ExecStart={PROGRAM} serve -c /etc/vmaild/vmaild.toml" in lines


def test_each_socket_comes_with_the_listen_address_that_vmaild_finds_it_by() -> None:
    text = (UNITS / "vmaild.socket").read_text()
    addresses = [str(parse_address(found)) for found in re.findall(r'address = "([^"]+)"', text)]
    streams = re.findall(r"^#?ListenStream=(.+)$", text, re.MULTILINE)
    assert [f"unix:{stream}" if stream.startswith("/") else f"inet:{stream}" for stream in streams] == addresses


@pytest.mark.parametrize("name", ["vmaild.service", "vmaild@.service"])
def test_a_crash_is_restarted_for_ever_and_a_broken_configuration_is_not(name: str) -> None:
    """Starts that the socket triggers come without the pause; those of a busy machine take up to three seconds."""
    text = (UNITS / name).read_text()
    seconds = {key: int(value) for key, value in re.findall(r"^(\w+(?:Sec|Burst))=(\d+)s?$", text, re.MULTILINE)}
    share = seconds["StartLimitIntervalSec"] / seconds["StartLimitBurst"]

    assert 3 < share < seconds["RestartSec"]
