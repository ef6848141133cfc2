import json

import pytest
from typer.testing import CliRunner

from exporters.clickhouse.client import connect
from proxy.cli import app
from tests.fakes.embedded_store import embedded_store


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with embedded_store(tmp_path_factory.mktemp("store")) as store:
        yield store


@pytest.fixture
def run(tmp_path, monkeypatch, request, store):
    """Runs `taximeter store` against a store that is taken for a server of the operator's."""
    monkeypatch.chdir(tmp_path)
    for name in ("TAXIMETER_CONFIG", "TAXIMETER_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    account = store.settings.store
    monkeypatch.setenv("RW", account.password)
    monkeypatch.setenv("RO", account.reader_password)

    def run(*arguments, more=""):
        (tmp_path / "taximeter.yaml").write_text(
            f"store:\n  url: {account.url}\n  user: {account.user}\n  password: env:RW\n"
            f"  reader: {{user: {account.reader_user}, password: 'env:RO'}}\n"
            f"  database: t{abs(hash(request.node.name))}\n{more}"
        )
        return CliRunner().invoke(app, ["store", *arguments])

    return run


@pytest.mark.real
def test_status_migrate_and_check_in_that_order(run):
    result = run("status")
    assert result.exit_code == 1
    assert "taximeter store migrate makes it" in result.stderr

    assert run("migrate", "--dry-run").output.startswith("CREATE DATABASE")
    result = run("migrate", more="  retention: {calls: 400d}\n")
    assert result.exit_code == 0
    assert result.output.startswith("applied 0001, 0002")
    assert "calls: kept for 400 days" in result.output
    assert run("migrate").output == "the schema is up to date\n"

    lines = run("status").output.splitlines()
    assert lines[0].startswith("ClickHouse 2")
    assert "applied   0001_calls" in lines
    assert any(line.startswith("calls ") and line.endswith("400 days") for line in lines)

    result = run("check")
    assert (result.exit_code, result.output.splitlines()[-1]) == (0, "good  store            as it must be")


@pytest.mark.real
def test_programs_get_json(run):
    applied = json.loads(run("migrate", "--format", "json").output)["applied"]
    assert applied[:2] == [1, 2]
    told = json.loads(run("status", "--format", "json").output)
    assert {one["state"] for one in told["migrations"]} == {"applied"}
    assert {"name", "rows", "bytes_on_disk", "parts", "oldest", "newest", "kept"} <= set(told["tables"][0])
    assert json.loads(run("check", "--format", "json").output)["ok"]
    assert json.loads(run("check", "--no-rows", "--format", "json").output)["self_check"] is None


@pytest.mark.real
def test_what_is_wrong_ends_with_status_1(run, store, request):
    run("migrate")
    client = connect(store.settings.store, database=f"t{abs(hash(request.node.name))}")
    client.command("ALTER TABLE calls DROP COLUMN unread")
    client.close()
    result = run("check", "--no-rows")
    assert result.exit_code == 1
    assert "bad   calls            lacks the column unread" in result.output
    result = run("migrate", more="  retention: {typo: 3d}\n")
    assert result.exit_code == 1
    assert "typo: no table of ours that ages" in result.stderr


def test_a_cluster_needs_a_server_and_a_name(tmp_path, monkeypatch, run):
    assert "must be a name of letters" in run("migrate", "--cluster", "a b").stderr
    (tmp_path / "taximeter.yaml").write_text("")
    result = CliRunner().invoke(app, ["store", "migrate", "--cluster", "c"])
    assert result.exit_code == 1
    assert "the embedded store is no cluster" in result.stderr


@pytest.mark.real
def test_the_form_of_a_cluster_can_be_looked_at_before(run):
    told = run("migrate", "--dry-run", "--cluster", "two_by_two").output
    assert "ON CLUSTER `two_by_two`" in told
    assert "ReplicatedMergeTree" in told
