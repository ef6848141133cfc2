"""`taximeter policy explain --key` knows the keys that were made with `taximeter keys create`."""

import pytest
from typer.testing import CliRunner

from proxy.cli import app

POLICY = "version: 1\nbudgets:\n  each: {per: team, limit: 5 USD, window: total}\n"


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("TAXIMETER_CONFIG", "TAXIMETER_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "p.yaml").write_text(POLICY)
    (tmp_path / "taximeter.yaml").write_text("data_dir: data\n")
    return lambda *arguments: CliRunner().invoke(app, list(arguments))


def test_a_key_that_was_made_stands_for_its_team(run):
    run("keys", "create", "search-app", "--team", "search", "--model", "MiniMax-*")

    told = run("policy", "explain", "--model", "MiniMax-M3", "--key", "search-app", "--team", "other")
    assert "budget:each|team=search" in told.output, told.output
    told = run("policy", "explain", "--model", "gpt-4.1-mini", "--key", "search-app")
    assert "REFUSED" in told.output, told.output


def test_a_key_that_is_none_is_told(run):
    run("keys", "create", "search-app")
    told = run("policy", "explain", "--key", "serach-app")
    assert (told.exit_code, "search-app" in told.output) == (1, True)
