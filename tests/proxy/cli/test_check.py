import json

import pytest
from typer.testing import CliRunner

from proxy.cli import app
from proxy.cli.check import MASK

GOOD = "providers:\n  minimax: {api_key: 'env:MINIMAX_API_KEY'}\n"


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TAXIMETER_CONFIG", raising=False)
    monkeypatch.setenv("MINIMAX_API_KEY", "sk-very-secret")

    def run(text, *arguments):
        if text is not None:
            (tmp_path / "taximeter.yaml").write_text(text)
        return CliRunner().invoke(app, ["check", *arguments])

    return run


def test_a_good_file_ends_with_0_and_the_effective_settings(run):
    result = run(GOOD)
    assert result.exit_code == 0
    assert "https://api.minimax.io" in result.output
    assert result.output.endswith("# taximeter.yaml: good\n")


def test_secrets_are_masked(run):
    for arguments in ((), ("--format", "json")):
        result = run(GOOD, *arguments)
        assert "sk-very-secret" not in result.output
        assert MASK in result.output


def test_what_turned_a_sink_on_is_shown_and_its_credentials_are_not(run, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=sk-very-secret")
    monkeypatch.setenv("HOOK", "sk-very-secret-and-long-enough")
    hook = "sinks: {webhooks: {ops: {url: 'https://h.example/sk-very-secret', secret: 'env:HOOK'}}}\n"
    result = run(GOOD + hook, "--format", "json")
    sinks = json.loads(result.output)["settings"]["sinks"]
    assert sinks["otlp"]["enabled_by"] == "OTEL_EXPORTER_OTLP_ENDPOINT"
    assert sinks["otlp"]["traces"]["endpoint"] == "http://collector:4318/v1/traces"
    assert sinks["otlp"]["traces"]["headers"] == sinks["webhooks"][0]["secret"] == MASK
    assert "sk-very-secret" not in result.output


def test_no_file_shows_the_defaults(run):
    result = run(None)
    assert result.exit_code == 0
    assert "these are the defaults" in result.output


def test_mistakes_end_with_1_and_one_line_each(run):
    result = run("listn: 1\nworkers: no\n")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        "taximeter.yaml:1: listn: unknown key; did you mean listen?",
        "taximeter.yaml:2: workers: must be a whole number from 1 to 256, or auto",
        "2 mistakes",
    ]


def test_programs_get_file_line_and_column(run):
    result = run("store:\n  urll: x\n", "--format", "json")
    assert result.exit_code == 1
    said = json.loads(result.output)
    assert not said["ok"]
    (problem,) = said["problems"]
    assert problem == {
        "file": "taximeter.yaml",
        "line": 2,
        "column": 3,
        "where": "store.urll",
        "what": "unknown key; did you mean url?",
    }


def test_a_named_file_is_taken(run, tmp_path):
    (tmp_path / "other.yaml").write_text("workers: 3\n")
    result = run("nonsense: 1\n", "--config", "other.yaml")
    assert result.exit_code == 0
    assert "workers: 3" in result.output


def test_mistakes_of_price_files_count_as_well(run, tmp_path):
    (tmp_path / "mine.yaml").write_text("nonsense: 1\n")
    result = run("prices: [mine.yaml]\n")
    assert result.exit_code == 1
    assert "mine.yaml:1: " in result.stderr


def test_a_set_of_prices_that_does_not_exist_is_a_mistake(run):
    assert run("prices: [no-such-set]\n").exit_code == 1
    assert run("prices: [seed-page]\n").exit_code == 0
