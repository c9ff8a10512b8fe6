"""The alerts: their cases in ``alerts.test.yml``, and what an administrator reads of them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.monitoring.conftest import SNIPPETS
from tests.monitoring.queries import groupings, matchers
from tests.support.prometheus import promtool
from vmaild import cli

CASES = Path(__file__).parent / "alerts.test.yml"
ALERTS = [
    rule
    for group in yaml.safe_load((SNIPPETS / "prometheus/alerts.yml").read_text())["groups"]
    for rule in group["rules"]
]


def fired() -> dict[str, set[str]]:
    """The alerts that some case makes fire, with the labels that they have then."""
    found: dict[str, set[str]] = {}
    for case in yaml.safe_load(CASES.read_text())["tests"]:
        for test in case.get("promql_expr_test", ()):
            for sample in test["exp_samples"]:
                labels = {one.label: one.value for one in matchers(sample["labels"])}
                found[labels["alertname"]] = labels.keys() - {"alertname", "alertstate"}
    return found


def test_promtool_passes_every_case(tmp_path: Path) -> None:
    shutil.copy(CASES, tmp_path)
    shutil.copy(SNIPPETS / "prometheus/alerts.yml", tmp_path)
    assert "SUCCESS" in promtool("test", "rules", CASES.name, cwd=tmp_path)


def test_every_alert_has_a_case_in_which_it_fires() -> None:
    assert fired().keys() == {rule["alert"] for rule in ALERTS}


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_what_an_alert_says_names_labels_that_it_has_and_commands_that_there_are(rule: Any) -> None:
    assert rule["labels"]["severity"] in ("warning", "critical")
    summary, description = rule["annotations"]["summary"], rule["annotations"]["description"]
    assert set(re.findall(r"\$labels\.(\w+)", summary + description)) <= fired()[rule["alert"]]
    assert "instance" in summary
    for command in re.findall(r"`vmaild ([a-z-]+)", description):
        with pytest.raises(SystemExit) as end:
            cli.main([command, "--help"])
        assert end.value.code == 0, command


def test_alerts_join_and_group_by_labels_that_every_scrape_has() -> None:
    scraped = {"job", "instance", "map", "le"}
    assert {label for rule in ALERTS for label in groupings(rule["expr"])} <= scraped
