"""A real Prometheus scrapes a real daemon by the snippets, evaluates the alerts, answers the dashboard's queries."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.monitoring.conftest import SNIPPETS, printed
from tests.monitoring.test_queries import DASHBOARD, dashboard_queries
from tests.support.prometheus import Prometheus, promtool
from vmaild.demo.ask import ask


def test_it_scrapes_and_answers_what_was_asked(daemon: Any, prometheus: Prometheus) -> None:
    lookups = 'sum(vmaild_lookups_total{job="vmaild",map="virtual_alias_maps",status="not_found"})'
    prometheus.wait_for(lambda: prometheus.value('up{job="vmaild"}') == 1)
    before = prometheus.value(lookups)
    assert before is not None
    for n in range(3):
        ask(daemon.process.address, "virtual_alias_maps", f"nobody{n}@domain1.example")
    prometheus.wait_for(lambda: prometheus.value(lookups) == before + 3)
    assert prometheus.value('vmaild_ldap_server_up{job="vmaild"}') == 1
    resident = prometheus.value('process_resident_memory_bytes{job="vmaild"}')
    assert resident is not None
    assert resident > 10_000_000


def test_it_scrapes_over_tls_with_a_token(prometheus: Prometheus) -> None:
    prometheus.wait_for(lambda: prometheus.value('up{job="guarded"}') == 1)
    assert prometheus.value('vmaild_info{job="guarded"}') == 1


def test_every_rule_is_evaluated_without_an_error_and_none_fires_for_a_healthy_daemon(prometheus: Prometheus) -> None:
    def rules() -> list[dict[str, object]]:
        groups = prometheus.ask("rules")["groups"]
        assert groups
        return [rule for group in groups for rule in group["rules"]]

    prometheus.wait_for(lambda: prometheus.value("vmaild_info{job='vmaild'}") == 1)
    prometheus.wait_for(lambda: all(rule["health"] != "unknown" for rule in rules()))
    assert [rule["name"] for rule in rules() if rule["health"] != "ok"] == []
    assert [rule["name"] for rule in rules() if rule["state"] == "firing"] == []


@pytest.fixture(scope="module")
def exercised(daemon: Any, prometheus: Prometheus) -> Prometheus:
    """Every kind of rate has something to tell."""

    def told() -> object:
        ask(daemon.process.address, "virtual_alias_maps", "postmaster@domain1.example")
        return prometheus.value('sum(rate(vmaild_cache_hits_total{job="vmaild"}[1m])) > 0')

    prometheus.wait_for(told)
    return prometheus


@pytest.mark.parametrize("query", sorted(set(dashboard_queries(DASHBOARD))))
def test_every_query_of_the_dashboard_tells_something(exercised: Prometheus, query: str) -> None:
    for name, value in (("$job", ".*"), ("$instance", ".*"), ("$__rate_interval", "1m"), ("$__interval", "1m")):
        query = query.replace(name, value)
    assert "$" not in query
    result = exercised.ask("query", query=query)["result"]
    # A healthy daemon has nothing to tell of what must not be.
    assert result or "> 0" in query


def test_nothing_but_addresses_is_changed_in_the_alerts_and_the_dashboard(guarded: Any) -> None:
    for path in ("prometheus/alerts.yml", "grafana/dashboard.json"):
        assert printed(guarded, path.rpartition("/")[2]) == (SNIPPETS / path).read_text()


def test_prometheus_itself_finds_the_snippets_right(tmp_path: Path) -> None:
    for source, name in (("prometheus.yml", "prometheus.yml"), ("alerts.yml", "vmaild-alerts.yml")):
        shutil.copy(SNIPPETS / "prometheus" / source, tmp_path / name)
    said = promtool("check", "config", "prometheus.yml", cwd=tmp_path)
    assert "1 rule files found" in said
    promtool("check", "rules", "--lint=all", "--lint-fatal", "vmaild-alerts.yml", cwd=tmp_path)
