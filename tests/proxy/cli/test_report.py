import csv
import io
import json
from decimal import Decimal

import pytest
from typer.testing import CliRunner

from exporters.reports.dimensions import group_names
from proxy.cli import app
from tests.fakes.report_store import report_store, running_store

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]

SINCE = ("--since", "2026-11-01", "--until", "2026-12-01")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with report_store(tmp_path_factory.mktemp("store")) as store:
        store.add(
            {
                "call_id": f"c{n}",
                "started_at": f"2026-11-{10 + n} 12:00:00",
                "team": "ab"[n % 2],
                "model": f"m{n % 3}",
                "cost": f"0.{n + 1:018d}",
                "currency": "USD" if n < 5 else "CNY",
                "input_tokens": 1000,
                "output_tokens": 100,
            }
            for n in range(6)
        )
        yield store


def runner(settings, folder, monkeypatch):
    """Runs `taximeter report` on a store, as on a ClickHouse of the operator's."""
    monkeypatch.setenv("PW", settings.reader_password)
    config = folder / "t.yaml"
    config.write_text(
        f"data_dir: {folder}\nstore:\n  url: {settings.url}\n  user: {settings.reader_user}\n  password: env:PW\n"
    )
    return lambda *arguments: CliRunner().invoke(app, ["report", *arguments, "--config", str(config)])


@pytest.fixture
def run(store, tmp_path, monkeypatch):
    return runner(store.settings, tmp_path, monkeypatch)


def test_costs_as_json_are_exact_and_kept_by_currency(run):
    result = run("costs", "--by", "team", *SINCE, "--tz", "Europe/Berlin", "--format", "json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["period"]["since"] == "2026-11-01T00:00:00+01:00"
    assert [(row["currency"], row["cost"]) for row in document["totals"]] == [
        ("CNY", "0.000000000000000006"),
        ("USD", "0.000000000000000015"),
    ]
    assert all("estimated" in note and "unpriced" in note and "interrupted" in note for note in document["notes"])


def test_costs_as_csv_have_a_header_and_add_up(run):
    result = run("costs", "--by", "model,team", *SINCE, "--where", "currency=USD", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert sum(Decimal(row["cost"]) for row in rows) == Decimal("0.000000000000000015")
    assert {row["team"] for row in rows} == {"a", "b"}


def test_without_a_terminal_a_table_is_plain_text(run):
    result = run("costs", *SINCE, "--top", "1")
    assert result.stdout.startswith("costs: 2026-11-01 00:00 up to 2026-12-01 00:00 (UTC)\n")
    assert "(others)" in result.stdout
    assert "\x1b" not in result.stdout


def test_the_last_calls_are_limited(run):
    result = run("calls", *SINCE, "--limit", "2", "--format", "json")
    assert [row["call_id"] for row in json.loads(result.stdout)["rows"]] == ["c5", "c4"]


def test_providers_have_list_prices_beside_what_was_measured(run):
    result = run("providers", *SINCE, "--where", "model=MiniMax-M3", "--format", "json")
    assert result.exit_code == 0, result.output
    result = run("providers", *SINCE, "--format", "json")
    assert [row["requests"] for row in json.loads(result.stdout)["rows"] if row["requests"]] == [2, 2, 2]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["costs", "--by", "cost"], "Calls cannot be grouped by 'cost': choose from model,"),
        (["costs", "--where", "cost=1"], "Calls cannot be filtered by 'cost': choose from model,"),
        (["calls", "--since", "soon"], "'soon' is no point in time: write 24h, 7d,"),
        (["calls", "--since", "1h", "--until", "2h"], "The period ends before it starts"),
        (["providers", "--tz", "Mars"], "There is no time zone 'Mars'"),
    ],
)
def test_a_wrong_question_is_one_sentence_and_status_2(run, arguments, said):
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith(said)
    assert result.stderr.count("\n") == 1
    assert not result.stdout


def test_an_empty_period_says_when_the_last_call_was(run):
    result = run("costs", "--since", "2025-01-01", "--until", "2025-01-02", "--format", "json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["rows"] == []
    assert "the latest call of the store started at 2026-11-15 12:00:00 UTC" in result.stdout


def test_a_store_without_calls_and_one_that_is_not_there_are_one_sentence_and_status_1(tmp_path, monkeypatch):
    with running_store(tmp_path) as settings:
        run = runner(settings, tmp_path, monkeypatch)
        result = run("costs")
        assert (result.exit_code, result.stdout) == (1, "")
        assert "holds no calls yet" in result.stderr
    result = run("costs")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("No store answers at http://127.0.0.1:")
    assert result.stderr.count("\n") == 1


def test_the_help_names_every_dimension_and_has_examples():
    page = CliRunner().invoke(app, ["report", "costs", "--help"], env={"COLUMNS": "200"}).output
    words = page.replace("\n", " ")
    assert not [name for name in group_names() if name not in words]
    for name in ("costs", "month", "calls", "providers"):
        page = CliRunner().invoke(app, ["report", name, "--help"], env={"COLUMNS": "200"}).output
        assert page.count(f"taximeter report {name}") >= 3


def test_a_month_is_one_document_whose_figures_are_those_of_the_costs(run):
    month = json.loads(run("month", "--month", "2026-11", "--by", "team", "--format", "json").stdout)
    costs = json.loads(run("costs", "--month", "2026-11", "--by", "team", "--format", "json").stdout)
    assert list(month["parts"]) == ["totals", "costs", "budgets", "callers", "anomalies", "savings", "days"]
    assert [row["cost"] for row in month["parts"]["costs"]["totals"]] == [row["cost"] for row in costs["totals"]]
    assert month["period"]["until"] == "2026-12-01T00:00:00+00:00"


def test_a_part_of_a_month_is_a_report_of_its_own(run):
    rows = list(
        csv.DictReader(io.StringIO(run("month", "--month", "2026-11", "--part", "days", "--format", "csv").stdout))
    )
    assert {row["day"] for row in rows} == {f"2026-11-{10 + n}" for n in range(6)}
    wrong = run("month", "--month", "2026-11", "--part", "profits")
    assert (wrong.exit_code, wrong.stdout) == (2, "")


def test_costs_are_compared_with_the_month_before(run):
    rows = json.loads(run("costs", "--by", "team", "--month", "2026-11", "--compare", "--format", "json").stdout)[
        "rows"
    ]
    assert {(row["cost_before"], row["change_ratio"]) for row in rows} == {("0", None)}


@pytest.mark.parametrize(("name", "starts"), [("xlsx", b"PK"), ("parquet", b"PAR1"), ("html", b"<!DOCTYPE html>")])
def test_a_file_is_written_where_it_was_said(run, tmp_path, name, starts):
    output = tmp_path / f"report.{name}"
    result = run("month", "--month", "2026-11", "--format", name, "--output", str(output))
    assert result.exit_code == 0, result.output
    assert output.read_bytes().startswith(starts)
    assert str(output) in result.stderr
    assert not result.stdout


def test_a_call_is_told_whole(run):
    told = run("call", "c3").stdout
    assert told.startswith("call c3, 2026-11-13T12:00:00")
    assert json.loads(run("call", "c3", "--format", "json").stdout)["call"]["call_id"] == "c3"
    nobody = run("call", "nobody")
    assert (nobody.exit_code, nobody.stdout) == (1, "")
    assert "no call of that id" in nobody.stderr
