"""Mail goes on without LDAP when all ages are over, and after a restart; ``tests.e2e.outage`` has ten minutes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e import outage

AGES = "[cache]\nttl = 1\nnegative_ttl = 0.5\n"

SECONDS = 8.0
"""More than five without hearing of changes, after which those ages hold, and both of them."""


@pytest.mark.parametrize("syncprov", [True, False])
def test_mail_of_each_kind_flows_without_ldap_when_all_ages_are_over(service_home: Path, syncprov: bool) -> None:
    home = service_home / str(syncprov)
    home.mkdir()
    with outage.running(home, syncprov=syncprov, tables=AGES) as site:
        said: list[str] = []
        assert outage.run(site, SECONDS if syncprov else 3.0, said.append, pace=1.0) == []
        log = (home / "vmaild.log").read_text()
    assert "serve while the directory does not answer" in log, "the snapshot was read"
    assert "Traceback" not in log
