"""No mail is lost, bounced or delivered to a wrong mailbox, whatever breaks; and changes show on both hosts."""

from __future__ import annotations

import pytest

from tests.machines.rows import FAULTS, Fault
from tests.machines.site import Site
from tests.machines.trials import run
from tests.machines.verdict import Row


@pytest.mark.system
@pytest.mark.parametrize(
    ("site", "fault"),
    [((fault.order, fault.two_providers), fault) for fault in FAULTS],
    ids=[fault.name for fault in FAULTS],
    indirect=["site"],
)
def test_all_mail_arrives_where_it_belongs(site: Site, fault: Fault, rows: list[Row]) -> None:
    row = run(site, fault)
    rows.append(row)

    assert row.failures == []
    assert (row.sent, row.delivered + row.deferred) == (row.sent, row.sent)
    assert row.refused > 0
    assert row.late == []
