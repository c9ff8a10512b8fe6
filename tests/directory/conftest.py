"""slapd with the demo's tree for a whole module, or for one test that breaks it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.directory.certificates import Authority
from vmaild.demo.slapd import Slapd
from vmaild.demo.tree import tree


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def slapd(service_home: Path) -> Iterator[Slapd]:
    """One slapd that no test of the module breaks or changes."""
    with Slapd(service_home / "shared", ldif=tree()) as server:
        yield server


@pytest.fixture
def make_slapd(service_home: Path) -> Iterator[Callable[..., Slapd]]:
    """Starts a slapd of the test's own; several at need."""
    made: list[Slapd] = []

    def make(**options: object) -> Slapd:
        home = Path(tempfile.mkdtemp(dir=service_home)) / "slapd"
        server = Slapd(home, **{"ldif": tree(), **options})
        made.append(server)
        server.start()
        return server

    yield make
    for server in made:
        if server.running:
            server.resume()
        server.close()
