"""Every panel asks the real engine over a generated month, and has something to show."""

import re
from decimal import Decimal
from pathlib import Path

import pytest

from grafana.alerts.rules import RULES
from grafana.boards import DASHBOARDS
from grafana.macros import expand
from grafana.model import Dashboard, Panel
from tests.fakes.grafana_month import MONTH, month_store

ROOT = Path(__file__).parents[3]
PANELS = [(board, panel) for board in DASHBOARDS for panel in board.panels]
VARIABLES = {variable.name: variable for board in DASHBOARDS for variable in board.variables if variable.sql}
UNITS = {"short", "ms", "s", "bytes", "percentunit", "reqps", "suffix: tok/s"}
UNIT_OF_WORD = {"Failed": "percentunit", "Level": "percentunit", "Uptime": "percentunit", "Latency": "ms", "p95": "ms",
                "p50": "ms", "p99": "ms", "First token": "ms", "Duration": "ms", "Memory": "bytes", "Speed": "suffix: tok/s"}  # fmt: skip


def name(one):
    return re.sub(r"\W+", "-", one.title if isinstance(one, Panel | Dashboard) else str(one))


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with month_store(tmp_path_factory.mktemp("month")) as found:
        yield found


@pytest.fixture(scope="module")
def picked(client):
    """All of everything, and one call with several attempts."""
    call, trace = client.query(
        "SELECT call_id, trace_id FROM calls WHERE attempt > 1 AND cost > 0 LIMIT 1"
    ).result_rows[0]
    return {one: ["$__all"] for one in VARIABLES} | {"call_id": [call], "trace_id": [trace]}


@pytest.mark.real
@pytest.mark.parametrize(("board", "panel"), PANELS, ids=name)
def test_every_panel_has_rows_of_its_kind(client, picked, board, panel):
    found = client.query(expand(panel.sql, MONTH, picked))

    assert found.row_count > 0
    assert len(set(found.column_names)) == len(found.column_names)
    values = [value for row in found.result_rows for value in row]
    assert not any(isinstance(value, Decimal) for value in values), "Grafana shows floats: say so in the SQL"
    assert any(value not in (None, 0, "") for value in values) or panel.thresholds[0].color == "green"
    if panel.kind != "traces":
        assert not any(isinstance(value, list | tuple | dict) for value in values), "no panel shows these"
    if panel.kind == "timeseries":
        assert found.column_names[0] == "time"
        assert str(found.column_types[0].name).startswith("DateTime")
        numbers = [
            n
            for n, kind in zip(found.column_names, found.column_types, strict=True)
            if "Int" in kind.name or "Float" in kind.name
        ]
        assert numbers
    if panel.kind == "stat":
        assert found.row_count == 1


@pytest.mark.real
@pytest.mark.parametrize(("board", "panel"), PANELS, ids=name)
def test_what_has_a_unit_says_which(client, picked, board, panel):
    columns = client.query(f"SELECT * FROM ({expand(panel.sql, MONTH, picked)}) LIMIT 0").column_names

    assert {panel.unit, *(column.unit or "short" for column in panel.columns.values())} <= UNITS
    assert set(panel.columns) <= set(columns)
    for column in columns:
        for word, unit in UNIT_OF_WORD.items():
            if column.startswith(word):
                said = panel.columns[column].unit if panel.kind == "table" else panel.unit
                assert said == unit, column


@pytest.mark.real
@pytest.mark.parametrize("variable", VARIABLES.values(), ids=lambda one: one.name)
def test_every_variable_has_values_and_each_can_be_chosen(client, picked, variable):
    values = [value for (value,) in client.query(expand(variable.sql, MONTH, {})).result_rows]
    assert values

    for board, panel in PANELS:
        if variable in board.variables:
            client.query(expand(panel.sql, MONTH, picked | {variable.name: [values[-1], "o'hara"]}))


@pytest.mark.real
def test_the_cost_explorer_adds_up_to_the_rows_in_each_currency(client, picked):
    panel = next(one for board, one in PANELS if one.title.startswith("Team x"))
    shown = client.query(f"SELECT Currency, sum(Cost) FROM ({expand(panel.sql, MONTH, picked)}) GROUP BY 1 ORDER BY 1")
    rows = client.query(
        "SELECT currency, toFloat64(sum(cost)) FROM (SELECT currency, cost FROM attempts UNION ALL "
        "SELECT currency, cost FROM calls WHERE attempt = 0) WHERE currency != '' GROUP BY 1 ORDER BY 1"
    )
    assert [one for one, _ in shown.result_rows] == [one for one, _ in rows.result_rows]
    assert len(rows.result_rows) > 1
    assert [amount for _, amount in shown.result_rows] == pytest.approx([amount for _, amount in rows.result_rows])


@pytest.mark.parametrize(("board", "panel"), PANELS, ids=name)
def test_money_is_never_summed_over_currencies(board, panel):
    for sums in re.findall(r"(?<!own_)sum(?:If)?\((?:cost|estimated_cost|list_cost)\b", panel.sql):
        assert re.search(r"GROUP BY[^()]*currency|GROUP BY \"Currency\"", panel.sql), sums


def test_every_panel_says_what_it_shows_and_every_dashboard_has_its_own_uid():
    assert all(len(panel.description) > 20 for _, panel in PANELS)
    assert len({board.uid for board in DASHBOARDS}) == len(DASHBOARDS)
    assert all(len(board.uid) <= 40 and board.uid.startswith("taximeter-") for board in DASHBOARDS)


def test_figures_of_the_machine_have_the_names_of_metrics():
    documented = set(re.findall(r"`(taximeter_\w+)`", (ROOT / "docs/metrics.md").read_text()))
    used = {
        name
        for sql in [*(panel.sql for _, panel in PANELS), *(rule.sql for rule in RULES)]
        for name in re.findall(r"'(taximeter_\w+[a-z])'", sql)
    }
    assert len(used) > 10
    assert used <= documented


def test_links_lead_to_dashboards_that_are_there():
    uids = {board.uid for board in DASHBOARDS}
    links = [column.link for _, panel in PANELS for column in panel.columns.values() if column.link]
    assert links
    assert {re.match(r"/d/([\w-]+)\?", link)[1] for link in links} <= uids
