import json

import pytest
from typer.testing import CliRunner

from proxy.cli import app
from tests.fakes.clickhouse import fake_clickhouse

ROWS = {"meta": [{"name": "model", "type": "String"}, {"name": "n", "type": "UInt64"}], "data": [["m3", 2], [None, 0]]}


@pytest.fixture
def clickhouse():
    with fake_clickhouse() as clickhouse:
        yield clickhouse


@pytest.fixture
def run(clickhouse, tmp_path, monkeypatch):
    """Runs `taximeter sql` against the stand-in, as against a ClickHouse of the operator's."""
    monkeypatch.setenv("PW", "rw-pw")
    config = tmp_path / "t.yaml"
    config.write_text(
        f"store:\n  url: {clickhouse.settings.url}\n  user: rw\n  password: env:PW\n  reader: {{user: eyes}}\n"
    )

    def run(*arguments, **more):
        return CliRunner().invoke(app, ["sql", "--config", str(config), *arguments], **more)

    return run


def test_without_a_terminal_the_answer_is_tab_separated(run, clickhouse):
    clickhouse.answers["SELECT"] = (200, {"X-ClickHouse-Format": "TSVWithNames"}, b"n\n1\n")
    result = run("SELECT 1 AS n")
    assert (result.exit_code, result.output) == (0, "n\n1\n")
    assert clickhouse.asked[0]["default_format"] == "TSVWithNames"
    assert clickhouse.asked[0]["user"] == "eyes"


@pytest.mark.parametrize(("name", "wanted"), [("json", "JSON"), ("csv", "CSVWithNames"), ("tsv", "TSVWithNames")])
def test_formats_are_made_by_the_store_and_passed_on(run, clickhouse, name, wanted):
    clickhouse.answers["SELECT"] = (200, {"X-ClickHouse-Format": wanted}, b"as it is\n")
    assert run("SELECT 1", "--format", name).output == "as it is\n"
    assert clickhouse.asked[0]["default_format"] == wanted


def test_a_table_shows_names_nulls_and_the_number_of_rows(run, clickhouse):
    clickhouse.answers["SELECT"] = (200, {"X-ClickHouse-Format": "JSONCompact"}, json.dumps(ROWS).encode())
    output = run("SELECT model, n FROM x", "--format", "table").output
    assert "model" in output
    assert "null" in output
    assert output.endswith("2 rows\n")


def test_a_format_of_the_query_wins(run, clickhouse):
    clickhouse.answers["SELECT"] = (200, {"X-ClickHouse-Format": "Pretty"}, b"pretty\n")
    assert run("SELECT 1 FORMAT Pretty", "--format", "table").output == "pretty\n"


def test_the_query_may_come_from_stdin(run, clickhouse):
    clickhouse.answers["SELECT"] = (200, {}, b"")
    assert run(input="SELECT 5").exit_code == 0
    assert clickhouse.asked[0]["sql"] == "SELECT 5"


def test_write_is_asked_as_the_user_who_may(run, clickhouse):
    clickhouse.answers["OPTIMIZE"] = (200, {}, b"")
    assert run("OPTIMIZE TABLE calls", "--write").exit_code == 0
    assert (clickhouse.asked[0]["user"], clickhouse.asked[0]["key"]) == ("rw", "rw-pw")


def test_what_the_store_says_against_it_goes_to_stderr_with_status_1(run):
    result = run("SELECT * FROM nowhere")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "no such table" in result.stderr


def test_an_embedded_store_that_does_not_run_says_how_to_start_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taximeter.yaml").write_text("store: {listen: '127.0.0.1:1'}\n")
    result = CliRunner().invoke(app, ["sql", "SELECT 1"])
    assert result.exit_code == 1
    assert "taximeter serve" in result.stderr
