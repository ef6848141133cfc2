from grafana.model import Column, Dashboard, Panel, Variable, falling, rising, to_json

PANEL = Panel(title="Calls", description="Calls.", sql="SELECT 1", width=16)


def board(*panels, **more):
    return to_json(Dashboard(uid="u", title="T", description="D", panels=panels, **more))


def test_a_panel_that_does_not_fit_begins_a_row():
    places = [panel["gridPos"] for panel in board(PANEL, PANEL)["panels"]]
    assert [(place["x"], place["y"]) for place in places] == [(0, 0), (0, 8)]


def test_a_column_is_an_override_by_its_name():
    table = Panel(
        title="T", description="D", sql="", kind="table", columns={"A": Column(unit="ms", link="/d/x", link_title="x")}
    )
    override = board(table)["panels"][0]["fieldConfig"]["overrides"][0]
    assert override["matcher"] == {"id": "byName", "options": "A"}
    assert [one["id"] for one in override["properties"]] == ["unit", "links"]


def test_a_variable_without_sql_is_a_text():
    made = board(variables=(Variable(name="call", label="Call", description=""),))["templating"]["list"]
    assert [one["type"] for one in made] == ["datasource", "textbox"]


def test_thresholds_rise_or_fall():
    assert [one.color for one in rising(1, 2)] == ["green", "yellow", "red"]
    assert [one.color for one in falling(1, 2)] == ["red", "yellow", "green"]
