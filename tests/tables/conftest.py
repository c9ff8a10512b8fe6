"""The fixture of the tables' tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.tables.in_memory import Tree


@pytest.fixture
def tree() -> Tree:
    # ``make mutants`` first has every function of the tables raise, to see tests fail: for pytest a conftest.py that
    # raises while it is imported is no failed test, but wrong usage.
    from tests.tables.in_memory import Tree

    return Tree()
