import json

import pytest
from typer.testing import CliRunner

from policies.compiled import CompiledPolicies, to_json
from policies.routes_compiled import Route, RouteTarget, Routing
from proxy.cli import app
from proxy.target_files import read_orders


@pytest.fixture
def run_dir(tmp_path):
    folder = tmp_path / "data" / "run"
    folder.mkdir(parents=True)
    routes = (Route(name="r", targets=(RouteTarget(id="minimax/M3", provider="minimax"),)),)
    (folder / "policies.json").write_bytes(to_json(CompiledPolicies(routing=Routing(routes=routes))))
    return folder


@pytest.fixture
def run(tmp_path, monkeypatch, run_dir):
    monkeypatch.chdir(tmp_path)
    for name in ("TAXIMETER_CONFIG", "TAXIMETER_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    return lambda *words: CliRunner().invoke(app, ["target", *words, "--data-dir", str(tmp_path / "data")])


def test_targets_are_listed_with_their_state(run):
    assert run("list").output == "minimax/M3  closed  calls=0 failures=0\n"
    assert json.loads(run("list", "--format", "json").output)[0]["state"] == "closed"


def test_an_order_is_left_for_the_workers(run, run_dir):
    assert run("drain", "minimax/M3").exit_code == 0
    assert read_orders(run_dir)["minimax/M3"].order == "drain"
    assert run("restore", "minimax/M3").exit_code == 0
    assert read_orders(run_dir)["minimax/M3"].order == "restore"


def test_a_target_that_is_not_there_is_refused_with_what_there_is(run):
    result = run("drain", "minimax/M4")

    assert result.exit_code == 1
    assert "minimax/M3" in result.output


def test_without_routes_there_is_nothing_to_drain(run, run_dir):
    (run_dir / "policies.json").unlink()

    assert "no routes" in run("drain", "x").output
    assert "no routes" in run("list").output
