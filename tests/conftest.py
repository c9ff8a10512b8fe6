"""Fixtures for every test. slapd and Postfix are part of what is tested: where they are missing, tests fail.

``pytest --quick`` (``make quick``) skips each test at the moment when it runs another program: what is left needs no
service, no package of Debian's and less than a minute.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support import newer_slapd

# How long it takes to make an example says how busy the machine is.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


@pytest.fixture(scope="session", autouse=True)
def _slapd() -> Iterator[None]:
    """That of this Debian, or the one that ``$VMAILD_TEST_DEBIAN`` names."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        script = newer_slapd.use(monkeypatch)
        yield
    if script:
        shutil.rmtree(Path(script).parent)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="skip what runs another program")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--quick"):
        sys.addaudithook(_no_other_program)


def _no_other_program(event: str, arguments: tuple[object, ...]) -> None:
    # xdist runs programs too, outside any test.
    if event == "subprocess.Popen" and "PYTEST_CURRENT_TEST" in os.environ:
        pytest.skip(f"runs {arguments[0]}")


@pytest.fixture(scope="module")
def service_home() -> Iterator[Path]:
    """A directory for services of one test module.

    pytest's own ``tmp_path`` is closed to other users, and Postfix runs as some; its path can also be too long
    for a unix socket.
    """
    home = Path(tempfile.mkdtemp(prefix="vmaild-test-"))
    home.chmod(0o755)
    yield home
    shutil.rmtree(home)


@pytest.fixture
def logging_as_before() -> Iterator[None]:
    """A command sets up logging for its whole process, which here is that of all tests."""
    logger = logging.getLogger("vmaild")
    before = logger.handlers[:], logger.propagate, logger.level
    yield
    logger.handlers[:], logger.propagate = before[:2]
    logger.setLevel(before[2])
