import json

import pytest
from typer.testing import CliRunner

from proxy.cli import app


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("TAXIMETER_CONFIG", "TAXIMETER_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    text = "data_dir: data\nstore: {url: 'http://127.0.0.1:1'}\npolicies: [p.yaml]\n"
    (tmp_path / "data").mkdir()
    (tmp_path / "taximeter.yaml").write_text(text)
    (tmp_path / "p.yaml").write_text(
        "version: 1\nbudgets:\n  all: {limit: 5 USD, window: month, zone: Europe/Berlin}\n"
        "  teams: {limit: 1 USD, window: total, per: team, named: {search: 2 USD}}\n"
    )
    return lambda *arguments: CliRunner().invoke(app, ["budget", *arguments])


def test_a_top_up_is_in_the_status_with_its_reason(run):
    done = run("top-up", "teams", "--scope", "team=search", "--amount", "5USD", "--reason", "launch week")
    assert (done.exit_code, done.output.splitlines()[0]) == (
        0,
        "budget:teams|team=search has 5 USD more, to the end of its present window",
    )
    table = run("status").output
    assert ["teams", "team=search", "total", "-", "0", "0", "7", "7", "USD", "-", "hard"] in [
        line.split() for line in table.splitlines()
    ]
    assert "launch week" in table


def test_programs_get_json_and_csv(run):
    told = json.loads(run("status", "all", "--format", "json").stdout)
    assert [(one["budget"], one["limit"], one["zone"]) for one in told] == [("all", "5", "Europe/Berlin")]
    lines = run("status", "--by", "team=search", "--format", "csv").stdout.splitlines()
    assert lines[0].startswith("budget,scope,counter,window")
    assert [line.partition(",")[0] for line in lines[1:]] == ["teams"]


def test_what_is_unknown_ends_with_a_sentence_and_status_1(run):
    for arguments in (
        ["status", "al"],
        ["history", "al"],
        ["top-up", "al", "--amount", "5USD", "--reason", "r"],
        ["top-up", "all", "--amount", "5", "--reason", "r"],
        ["top-up", "all", "--amount", "5USD", "--reason", "r", "--until", "2026-12-01"],
    ):
        done = run(*arguments)
        assert done.exit_code == 1, arguments
        assert "Traceback" not in done.output


def test_a_history_without_a_store_says_so(run):
    done = run("history", "all")
    assert done.exit_code == 0
    assert "nothing was spent yet" in done.output
    assert "by the ledger alone" in done.output
