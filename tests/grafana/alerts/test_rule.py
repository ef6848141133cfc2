import yaml

from grafana.alerts.rule import Rule, to_yaml

RULE = Rule(
    uid="u",
    title="t",
    summary="s",
    runbook="r",
    sql="SELECT 1 AS value WHERE $__timeFilter(at)",
    threshold=2,
    window_s=60,
    dashboard="d",
)


def test_dollars_are_doubled_for_grafana_replaces_variables_first():
    text = to_yaml([RULE])
    assert "$$__timeFilter(at)" in text
    rule = yaml.safe_load(text.replace("$$", "$"))["groups"][0]["rules"][0]
    assert rule["data"][0]["model"]["rawSql"] == RULE.sql


def test_a_rule_has_a_query_and_its_threshold():
    rule = yaml.safe_load(to_yaml([RULE]))["groups"][0]["rules"][0]
    assert [one["refId"] for one in rule["data"]] == ["A", "C"]
    assert rule["data"][1]["model"]["conditions"][0]["evaluator"] == {"type": "gt", "params": [2]}
