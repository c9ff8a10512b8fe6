"""LDAP searches for one message, counted in slapd's log by the benchmark's own means."""

from __future__ import annotations

from benchmarks.compare_messages import Messages
from benchmarks.population import PER_DOMAIN
from benchmarks.rivals import VMAILD, Rivals
from benchmarks.samples import Rows
from benchmarks.site import Site


def test_a_message_costs_few_searches_when_nothing_is_cached_and_none_when_it_is() -> None:
    rows = Rows()
    with Site(3 * PER_DOMAIN, lambda _: None) as site:
        everybody = Rivals.on(site, site.vmaild(), site.new_home("tables"))
        own = tuple(rival for rival in everybody.all if rival.name == VMAILD)
        site.log_searches(True)
        Messages(Rivals(site, everybody.vmaild, everybody.dictionary, everybody.echo, own)).measure(
            rows, lambda _: None
        )
    cold = [row.figures["cold searches"] for row in rows.section("messages")]
    assert all(0 < searches <= limit for searches, limit in zip(cold, (3, 3, 5), strict=True))
    assert [row.figures["warm searches"] for row in rows.section("messages")] == [0, 0, 0]
