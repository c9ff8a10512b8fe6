"""A half-loaded replica, one that lags, an access rule: no wrong answer for what was known; ``tests.e2e.replicas``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import replicas
from tests.e2e.replicas import Oracle, Site

ACCOUNTS = 700
RATE = 180_000.0
"""Bytes a second of the load: it takes four seconds."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with contextlib.ExitStack() as stack:
        yield Site(tmp_path, ACCOUNTS, stack)


def nothing_wrong(oracle: Oracle) -> None:
    assert (oracle.wrong(known=True), oracle.wrong(known=False)) == (0, 0), oracle.examples
    assert oracle.counts[True]["right"] > 100
    assert oracle.counts[False].total() > 50


@pytest.mark.parametrize(("changes", "other"), [("sync", True), ("poll", False)])
def test_a_consumer_that_loads_gives_no_wrong_answer(site: Site, changes: str, other: bool) -> None:
    """The own one, first in the order of servers; then the other mail host's and the provider, or that alone."""
    nothing_wrong(replicas.half_loaded(site, changes, other=other, rate=RATE))


def test_nor_where_the_daemon_is_started_meanwhile_and_a_state_is_required(site: Site) -> None:
    oracle = replicas.started(site, "sync", rate=RATE / 2, more="require_context = true")
    assert oracle.wrong(known=False) == 0, oracle.examples
    assert oracle.counts[False]["right"] > 50


@pytest.mark.parametrize("changes", ["sync", "poll"])
def test_a_replica_that_lags_makes_no_answer_go_back_in_time(site: Site, changes: str) -> None:
    count, back = replicas.lagging(site, changes, seconds=3.0)
    assert back == []
    assert count > 100


@pytest.mark.parametrize(("changes", "what", "canaries"), [("sync", "domains", False), ("poll", "all", True)])
def test_what_an_access_rule_hides_does_not_vanish(site: Site, changes: str, what: str, canaries: bool) -> None:
    oracle = replicas.hidden(site, changes, what, canaries=canaries, seconds=5.0)
    assert oracle.wrong(known=True) == 0, oracle.examples
    # What was never asked is "not found" for as long as the last good probe is trusted, which is a second.
    assert oracle.wrong(known=False) < oracle.counts[False]["TEMP"], oracle.examples
