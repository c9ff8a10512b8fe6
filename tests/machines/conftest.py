"""The site that a fault is tried on, kept for all faults that want the same, and the table at the end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.machines.site import Site
from tests.machines.verdict import Row, report

_rows = pytest.StashKey[list[Row]]()


@pytest.fixture
def rows(request: pytest.FixtureRequest) -> list[Row]:
    """The rows of the table so far."""
    return request.config.stash.setdefault(_rows, [])


@pytest.fixture(scope="module")
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    """A warm site with the order of its tree, and the number of its providers, as the parameter has them."""
    order, two_providers = request.param
    with Site(order, two_providers=two_providers) as site:
        site.warm_up()
        yield site


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """The table is what these tests are for."""
    if rows := config.stash.get(_rows, None):
        terminalreporter.write_sep("=", "several machines")
        terminalreporter.write_line(report(rows))
