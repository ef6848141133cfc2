"""Every rule is silent on good rows and fires on bad ones, on the real engine."""

from datetime import UTC, datetime

import pytest

from exporters.clickhouse.client import INSERT_SETTINGS
from grafana.alerts.rules import RULES
from grafana.macros import Range, expand
from tests.fakes.embedded_store import embedded_store
from tests.fakes.filled_store import ready_store
from tests.fakes.grafana_month import FIGURES, write_health

BY_UID = {rule.uid.removeprefix("taximeter-"): rule for rule in RULES}
BAD_CALLS = {
    "error-burst": "outcome = 'error', status = 500",
    "latency": "duration_ms = 90000",
    "first-token": "ttft_ms = 15000",
    "run-rate": "cost = 3",
    "spend-anomaly": "cost = 0.5",
    "provider-down": "outcome = 'error', error_class = 'server_error'",
    "unpriced": "cost = NULL, usage_source = 'provider'",
}
BAD_FIGURES = {
    "budget": ("taximeter_budget_used_ratio", 0.95),
    "journal": ("taximeter_sink_lag_seconds", 500),
    "losses": ("taximeter_losses_total", 3),
    "drift": ("taximeter_budget_drift", -0.5),
}
GOOD = {
    "outcome": "'ok'", "status": "200", "error_class": "''", "duration_ms": "900.0", "ttft_ms": "300.0",
    "cost": "toDecimal128('0.01', 18)", "usage_source": "'provider'",
}  # fmt: skip
NOW_S = int(datetime(2026, 11, 24, 12, 0, tzinfo=UTC).timestamp())


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with embedded_store(tmp_path_factory.mktemp("rules")) as store:
        client = ready_store(store)
        client.command("ALTER TABLE health REMOVE TTL")
        yield client
        client.close()


def write_calls(client, values, since_s, until_s, count):
    row = GOOD | {
        name: f"CAST({value}, 'Nullable(Decimal(38, 18))')" if name == "cost" else value
        for name, value in values.items()
    }
    settings = {**INSERT_SETTINGS, "insert_deduplicate": 0}
    for table in ("calls", "attempts"):
        client.command(
            f"INSERT INTO {table} (call_id, attempt, started_at, provider, model, project, streaming, billable, currency, "
            f"billing, {', '.join(row)}) SELECT toString(generateUUIDv4()), 1, toDateTime64({since_s}, 9, 'UTC') + "
            f"toIntervalSecond(intDiv(number * {until_s - since_s}, {count})), 'minimax', 'M3', 'search', true, true, "
            f"'USD', 'metered', {', '.join(row.values())} FROM numbers({count})",
            settings=settings,
        )


def fires(client, rule):
    found = client.query(expand(rule.sql, Range(NOW_S - rule.window_s, NOW_S)))
    assert not found.row_count or found.column_names[-1] == "value"
    return any(value > rule.threshold for *_, value in found.result_rows)


def emptied(client):
    tables = "calls", "attempts", "calls_by_minute", "attempts_by_minute", "calls_by_day", "attempts_by_day", "health"
    for table in tables:
        client.command(f"TRUNCATE TABLE {table}")


def written(client, bad="", figure=("", 0)):
    """Eight days of good traffic and figures; then half an hour of what is bad."""
    emptied(client)
    write_calls(client, {}, NOW_S - 8 * 86_400, NOW_S - 1800, 20_000)
    values = dict(part.split(" = ") for part in bad.split(", ")) if bad else {}
    write_calls(client, values, NOW_S - 1800, NOW_S, 200)
    for (metric, labels), value in FIGURES.items():
        write_health(client, metric, labels, value, NOW_S - 3600, NOW_S - 1800, 15)
        last = figure[1] if metric == figure[0] else value
        write_health(client, metric, labels, last, NOW_S - 1800, NOW_S, 15)


def test_every_rule_is_tried_both_ways():
    assert {*BAD_CALLS, *BAD_FIGURES} == set(BY_UID)
    assert len(BY_UID) == len(RULES)
    assert all(len(rule.runbook) > 80 for rule in RULES)


@pytest.mark.real
def test_no_rule_fires_while_all_is_well(client):
    written(client)
    assert [name for name, rule in BY_UID.items() if fires(client, rule)] == []


@pytest.mark.real
def test_no_rule_fires_on_an_empty_store(client):
    emptied(client)
    assert [name for name, rule in BY_UID.items() if fires(client, rule)] == []


@pytest.mark.real
@pytest.mark.parametrize("name", BAD_CALLS)
def test_a_rule_fires_on_bad_calls(client, name):
    written(client, BAD_CALLS[name])
    assert fires(client, BY_UID[name])


@pytest.mark.real
@pytest.mark.parametrize("name", BAD_FIGURES)
def test_a_rule_fires_on_a_bad_figure(client, name):
    written(client, figure=BAD_FIGURES[name])
    assert fires(client, BY_UID[name])
