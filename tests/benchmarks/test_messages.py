"""LDAP searches for one message, counted in slapd's log by the benchmark's own means."""

from __future__ import annotations

import argparse

from benchmarks.experiments import compare
from benchmarks.experiments.experiment import Run
from benchmarks.experiments.rivals import LDAP, VMAILD, Rivals
from benchmarks.site.population import PER_DOMAIN
from benchmarks.site.site import Site


def test_a_message_costs_few_searches_when_nothing_is_cached_and_none_when_it_is() -> None:
    run = Run(argparse.Namespace(), lambda _: None)
    with Site(3 * PER_DOMAIN, run.say) as site:
        rivals = Rivals(run, site, all_of_them=False)
        rivals.all = [rival for rival in rivals.all if rival.name != LDAP]
        compare.count_messages(rivals)
    figures = [run.rows.figures("messages", f"{VMAILD}, {kind}", 0) for kind in compare.KINDS]
    assert all(0 < each["cold searches"] <= most for each, most in zip(figures, (3, 3, 5), strict=True))
    assert [each["warm searches"] for each in figures] == [0, 0, 0]
