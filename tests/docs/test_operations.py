"""docs/operations.md names every alert that anybody may be woken by."""

import re
from pathlib import Path
from typing import get_args

import yaml

from exporters.alerts.alert import Kind
from grafana.alerts.rules import RULES
from tests.fakes.markdown import blocks

DOCS = Path(__file__).parents[2] / "docs"


def named() -> set[str]:
    """What stands in the first cell of a row."""
    cells = re.findall(r"^\| ([^|]+) \|", (DOCS / "operations.md").read_text("utf-8"), re.MULTILINE)
    return {one.strip(" `") for cell in cells for one in cell.split(",")}


def test_every_rule_of_grafana_is_named():
    assert {rule.title for rule in RULES} - named() == set()


def test_every_kind_of_alert_is_named():
    assert set(get_args(Kind)) - named() == set()


def test_every_rule_for_prometheus_is_named():
    (block,) = [one for one in blocks(DOCS / "metrics.md", "yaml") if "alert:" in one.text]
    rules = yaml.safe_load(block.text)["groups"][0]["rules"]
    assert {rule["alert"] for rule in rules} - named() == set()
