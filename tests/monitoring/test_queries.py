"""Every query of the snippets names metrics and labels that the daemon has."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.admin.test_metrics import Daemon
from tests.monitoring.conftest import SNIPPETS
from tests.monitoring.queries import Matcher, groupings, matchers, metrics

DASHBOARD = json.loads((SNIPPETS / "grafana/dashboard.json").read_text())

# What Prometheus adds to each sample, and to each scrape.
OF_PROMETHEUS = {"job", "instance"}
SCRAPE = {"up"}

Samples = dict[str, list[dict[str, str]]]


@pytest.fixture(scope="module")
def samples() -> Samples:
    """Every sample that the daemon's registry gives, by name: its labels."""
    daemon = Daemon()
    # These come with the first of their kind.
    daemon.hit()
    daemon.hit(stale=True)
    found: Samples = {name: [{"job": "vmaild"}] for name in SCRAPE}
    for family in text_string_to_metric_families(daemon.metrics.exposition().decode()):
        for sample in family.samples:
            found.setdefault(sample.name, []).append({"job": "vmaild", **sample.labels})
    return found


def dashboard_queries(part: Any) -> Iterator[str]:
    """Every query in a part of a dashboard, as it is written."""
    if isinstance(part, dict):
        yield from (part[key] for key in ("expr",) if key in part)
        for value in part.values():
            yield from dashboard_queries(value)
    elif isinstance(part, list):
        for value in part:
            yield from dashboard_queries(value)


def alert_queries() -> Iterator[str]:
    """Every query of the alerts."""
    for group in yaml.safe_load((SNIPPETS / "prometheus/alerts.yml").read_text())["groups"]:
        yield from (rule["expr"] for rule in group["rules"])


QUERIES = sorted({*dashboard_queries(DASHBOARD), *alert_queries()})


@pytest.mark.parametrize("query", QUERIES)
def test_every_metric_is_one_of_the_daemon_and_has_these_labels(query: str, samples: Samples) -> None:
    named = metrics(query)
    assert named
    assert named <= samples.keys()
    for matcher in matchers(query):
        if matcher.value.startswith("$") or matcher.label in OF_PROMETHEUS:
            continue
        assert any(matcher.fits(labels.get(matcher.label, "")) for labels in samples[matcher.metric]), matcher
    has = OF_PROMETHEUS | {label for name in named for labels in samples[name] for label in labels}
    assert groupings(query) <= has


def test_the_dashboard_shows_every_metric_of_the_daemon(samples: Samples) -> None:
    """But for those that only tell how often something usual happened."""
    shown = set().union(*map(metrics, dashboard_queries(DASHBOARD)))
    of_histograms = {name for name in samples if name.endswith(("_bucket", "_sum", "_count"))}
    usual = {
        "vmaild_cache_admitted_total",
        "vmaild_cache_not_kept_total",
        "vmaild_cache_outdated_total",
        "vmaild_cache_search_failures_total",
        "vmaild_connections_accepted_total",
        "vmaild_connections_idle_closed_total",
        "vmaild_ldap_checks_total",
        "vmaild_ldap_waited_total",
        "vmaild_requests_looked_up_total",
        "vmaild_requests_pipelined_total",
    }
    assert {name for name in samples if name.startswith("vmaild_")} - of_histograms - shown == usual


def test_panels_do_not_overlap_and_each_says_what_it_shows() -> None:
    taken: dict[tuple[int, int], str] = {}
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                assert taken.setdefault((x, y), panel["title"]) == panel["title"]
        if panel["type"] != "row":
            assert panel["description"].endswith(".")
            assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


def test_every_query_goes_to_the_prometheus_that_was_chosen() -> None:
    def sources(part: Any) -> Iterator[object]:
        if isinstance(part, dict):
            if "expr" in part or part.get("type") == "query":
                yield part["datasource"]["uid"]
            for value in part.values():
                yield from sources(value)
        elif isinstance(part, list):
            for value in part:
                yield from sources(value)

    assert set(sources(DASHBOARD)) == {"${datasource}"}
    assert [one["name"] for one in DASHBOARD["templating"]["list"]] == ["datasource", "job", "instance"]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ('sum by (map) (rate(a_total{b="c{d}"}[5m])) / on (x) e > 1e6', {"a_total", "e"}),
        ("histogram_quantile(0.9, sum by (le) (rate(x_bucket[$__rate_interval])))", {"x_bucket"}),
        ("time() - max(a and on (job, instance) b) or c offset 5m", {"a", "b", "c"}),
        ("sum(a) without (b)", {"a"}),
    ],
)
def test_names_are_read_from_a_query(query: str, names: set[str]) -> None:
    assert metrics(query) == names


def test_conditions_are_read_from_a_query() -> None:
    one, other = matchers('a{b="c", d!~"e|f"} + g')
    assert one == Matcher("a", "b", "=", "c")
    assert other == Matcher("a", "d", "!~", "e|f")
    assert (other.fits("e"), other.fits("x"), one.fits("c")) == (False, True, True)
