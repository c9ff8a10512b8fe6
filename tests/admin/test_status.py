"""The state of the daemon: what is refused, and why, before anything else is looked for."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tests.admin.test_metrics import ALIAS, MAILBOX, Daemon
from vmaild.admin.status import StatusReport


@pytest.fixture
def daemon() -> Daemon:
    made = Daemon()
    made.server.max_connections = 100
    made.directory.ready = True
    made.maps.canaries = SimpleNamespace(missing={})
    return made


def refused(daemon: Daemon, **parts: Any) -> list[tuple[str, int, bool]]:
    report = StatusReport(daemon.cache, daemon.server, daemon.directory, daemon.maps, daemon.metrics, **parts)
    return [(one["text"], one["count"], one["now"]) for one in report.status()["refused"]]


def test_a_healthy_daemon_refuses_nothing_and_says_that_it_follows_no_changes(daemon: Daemon) -> None:
    assert refused(daemon) == []
    report = StatusReport(daemon.cache, daemon.server, daemon.directory, daemon.maps, daemon.metrics)
    assert report.status()["feed"] == {"mode": "none"}


def test_what_is_refused_now_comes_first_and_then_what_was_counted(daemon: Daemon) -> None:
    daemon.maps.canaries.missing[ALIAS] = ("a@d.example", "b@d.example")
    daemon.maps.counters[ALIAS].canary_refusals = 4
    daemon.directory.ready = False
    daemon.directory.counters.failed_fast = 7
    daemon.maps.counters[MAILBOX].data_errors = 3
    daemon.server.counters.denied = 2

    assert refused(daemon, log_dropped=lambda: 5) == [
        (f"map {ALIAS}: canary a@d.example, b@d.example is missing, so NOTFOUND is answered TEMP", 4, True),
        ("no directory server is up: what is not cached is answered TEMP", 7, True),
        (f"map {MAILBOX}: data that must not be used (see the log)", 3, False),
        ("clients turned away: they may not connect (allow, allow_uid, allow_gid)", 2, False),
        ("log lines dropped: the log was not read fast enough", 5, False),
    ]


def test_other_maps_and_directories_are_told_of_after_a_reload(daemon: Daemon) -> None:
    report = StatusReport(daemon.cache, daemon.server, daemon.directory, daemon.maps, daemon.metrics)
    other = Daemon()
    other.maps.canaries.missing.clear()
    other.directory.ready = False
    report.use(other.maps, other.directory)
    assert [one["now"] for one in report.status()["refused"]] == [True]
