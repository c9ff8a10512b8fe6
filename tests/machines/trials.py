"""One fault under load, from a warm site to the row of the table; and all of them, one after the other."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence

from tests.machines.faults import Trial
from tests.machines.rows import Fault
from tests.machines.site import Site
from tests.machines.verdict import Row

PER_SECOND = 14.0
"""Messages a second. A machine of two cores that does all of this does some 40."""

BEFORE, AFTER = 2.0, 3.0
"""Seconds of load before the fault, and after its end."""


def run(site: Site, fault: Fault) -> Row:
    """Break it under load, and judge."""
    with site.sender.load(PER_SECOND) as messages:
        trial = Trial(site, messages)
        trial.rest(BEFORE)
        fault.run(trial)
        trial.rest(AFTER)
    row = site.judge(fault.name, messages)
    row.changes = trial.noted
    site.settle_directories()
    return row


def run_all(faults: Sequence[Fault], say: Callable[[str], object]) -> Iterator[Row]:
    """Each fault's row. Those that follow each other on the same kind of site share it."""
    for (order, two_providers), group in itertools.groupby(faults, lambda fault: (fault.order, fault.two_providers)):
        say(f"starting {'two providers' if two_providers else 'three machines'}, tree {order}")
        with Site(order, two_providers=two_providers) as site:
            site.warm_up()
            for fault in group:
                say(fault.name)
                yield run(site, fault)
