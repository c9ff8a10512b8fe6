"""No mail is lost, bounced or delivered to a wrong mailbox, whatever breaks; and changes show on both hosts."""

from __future__ import annotations

import pytest

from tests.machines.rows import FAULTS, Fault
from tests.machines.site import Site
from tests.machines.trials import run
from tests.machines.verdict import Row

SEEN_SECONDS = 5.0
"""How long a change may take to show. It takes 0.1 s, and 1 s is the promise; this leaves room for a busy machine."""

MADE_UP_SECONDS = 15.0
"""The same for what was changed while a host or a provider could not be reached, from when it can be."""


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
    slow = {
        what: seconds
        for what, seconds in row.changes
        if seconds > (MADE_UP_SECONDS if "made up for" in what else SEEN_SECONDS)
    }
    assert slow == {}
