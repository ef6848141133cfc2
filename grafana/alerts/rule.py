"""An alert rule as values, and as the YAML that Grafana provisions. PURE.

Grafana replaces `$NAME` in provisioned YAML by environment variables, so every `$` of ours is doubled.

Source: the fact sheet on Grafana, section 5; Grafana's conf/provisioning/alerting/sample.yaml.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import yaml

from grafana.model import PLUGIN_VERSION

DATASOURCE_UID = "taximeter"
"""Rules know no variables: this is the data source of grafana/provisioning/datasources."""
EXPRESSIONS = "__expr__"


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Fires for every row whose last column, `value`, is above the threshold."""

    uid: str
    title: str
    summary: str
    runbook: str
    """What it means, where to look, what to do."""
    sql: str
    """Rows of text columns (they become labels) and a last column `value`. Only macros of the plugin."""
    threshold: float
    window_s: int
    """The range that `$__timeFilter` stands for."""
    for_: str = "0s"
    severity: Literal["warning", "critical"] = "warning"
    dashboard: str
    """Uid of where to look."""


def to_yaml(rules: Iterable[Rule]) -> str:
    """The file."""
    groups = [
        {
            "orgId": 1,
            "name": "taximeter",
            "folder": "Taximeter",
            "interval": "1m",
            "rules": [_rule(rule) for rule in rules],
        }
    ]
    text = yaml.safe_dump({"apiVersion": 1, "groups": groups}, sort_keys=False, width=10_000, allow_unicode=True)
    return (
        "# Made by `make dashboards`; do not edit. `$$` is a `$`: Grafana replaces environment variables first.\n"
        + (text.replace("$", "$$"))
    )


def _rule(rule: Rule) -> dict[str, Any]:
    span = {"from": rule.window_s, "to": 0}
    return {
        "uid": rule.uid,
        "title": rule.title,
        "condition": "C",
        "data": [
            {
                "refId": "A",
                "relativeTimeRange": span,
                "datasourceUid": DATASOURCE_UID,
                "model": {
                    "refId": "A",
                    "editorType": "sql",
                    "rawSql": rule.sql,
                    "format": 1,
                    "queryType": "table",
                    "pluginVersion": PLUGIN_VERSION,
                },
            },
            {
                "refId": "C",
                "datasourceUid": EXPRESSIONS,
                "relativeTimeRange": span,
                "model": {
                    "refId": "C",
                    "type": "threshold",
                    "expression": "A",
                    "conditions": [{"evaluator": {"type": "gt", "params": [rule.threshold]}}],
                },
            },
        ],
        "for": rule.for_,
        # No row is no trouble: queries give only what there is to judge.
        "noDataState": "OK",
        "execErrState": "Error",
        "labels": {"severity": rule.severity, "service": "taximeter"},
        "annotations": {
            "summary": rule.summary,
            "runbook": rule.runbook,
            "dashboard": f"/d/{rule.dashboard}",
        },
    }
