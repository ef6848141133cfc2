import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from typer.testing import CliRunner

from policies.replay import BudgetCurve, Replayed, RuleTally
from proxy.app_replay import Comparison
from proxy.cli import app
from proxy.cli.policy_replay import as_json, as_text

NEW = Replayed(
    calls=1200,
    refused=7,
    downgraded={"small": 3},
    left_out={"refused_then": 2},
    costs={"USD": Decimal("30.5")},
    saved={"USD": Decimal("1.25")},
    rules={"budget:b": RuleTally(refused=7, saved={"USD": Decimal("1.25")})},
    budgets={
        "budget:b": BudgetCurve(
            unit="USD",
            counters=4,
            passed=1,
            by_day={"2026-11-24": "5"},
            fullest="budget:b@2026-11-24T00:00:00Z",
            fullest_spent="5",
            fullest_limit="5",
            fullest_percent=100,
        )
    },
)
FOUND = Comparison(
    since=datetime(2026, 11, 1, tzinfo=UTC),
    until=datetime(2026, 12, 1, tzinfo=UTC),
    now=Replayed(calls=1200, costs={"USD": Decimal("30.5")}),
    new=NEW,
)


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("TAXIMETER_CONFIG", "TAXIMETER_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "taximeter.yaml").write_text("store: {url: 'http://127.0.0.1:1'}\n")
    (tmp_path / "new.yaml").write_text("version: 1\nbudgets:\n  b: {limit: 5 USD, window: day}\n")
    return lambda *arguments: CliRunner().invoke(app, ["policy", "replay", *arguments])


def test_both_outcomes_stand_beside_each_other():
    lines = as_text(FOUND).splitlines()
    assert lines[0] == "2026-11-01 00:00 to 2026-12-01 00:00 UTC"
    told = [line.split() for line in lines]
    assert ["refused", "0", "7"] in told
    assert ["cost", "of", "the", "refused", "-", "1.25", "USD"] in told
    assert ["downgraded", "to", "small", "0", "3"] in told
    assert ["left", "out:", "refused", "then", "0", "2"] in told
    assert ["budget:b", "7", "1.25", "USD", "0", "0"] in told
    assert "  budget:b: 1 of 4 counters full; fullest budget:b@2026-11-24T00:00:00Z: 5 of 5 USD (100 %)" in lines
    assert "    USD by day: 11-24 5" in lines
    assert "  no rule refused anything" in lines
    assert "hold" in lines[-3]


def test_programs_get_everything_as_exact_text():
    told = json.loads(json.dumps(as_json(FOUND)))
    assert told["new"]["saved"] == {"USD": "1.25"}
    assert told["new"]["budgets"]["budget:b"]["fullest_percent"] == 100
    assert told["now"]["refused"] == 0
    assert len(told["notes"]) == 3


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--with", "nowhere.yaml"), "there is no file nowhere.yaml"),
        (("--with", "new.yaml", "--since", "soon"), "soon"),
        (("--with", "new.yaml"), "No store answers"),
    ],
)
def test_what_cannot_be_asked_ends_with_1(run, arguments, says):
    result = run(*arguments)
    assert result.exit_code == 1
    assert says in result.output


def test_a_mistake_in_the_new_policies_has_its_line(run, tmp_path):
    (tmp_path / "new.yaml").write_text("version: 1\nbudgets:\n  b: {limt: 5 USD, window: day}\n")
    result = run("--with", "new.yaml")
    assert result.exit_code == 1
    assert "new.yaml:3" in result.output
