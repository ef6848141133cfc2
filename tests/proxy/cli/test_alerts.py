import json

import pytest
from typer.testing import CliRunner

from proxy.cli import app
from tests.fakes.hook_receiver import hook_receiver


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("TAXIMETER_CONFIG", "TAXIMETER_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)

    def run(text, *arguments):
        (tmp_path / "taximeter.yaml").write_text(text)
        return CliRunner().invoke(app, ["alerts", "test", *arguments])

    return run


def channels(**urls):
    lines = [f"    {name}: {{kind: slack, url: '{url}'}}" for name, url in urls.items()]
    return "\n".join(["alerts:", "  channels:", *lines]) + "\n"


@pytest.mark.real
def test_a_channel_that_takes_it_is_good(run):
    with hook_receiver() as hook:
        result = run(channels(team=f"{hook.url}/x"))
    assert (result.exit_code, result.output) == (0, "team: taken\n")
    assert "a test of the channel team" in hook.posted[0].body.decode()


@pytest.mark.real
def test_one_that_does_not_ends_with_status_1(run):
    with hook_receiver() as hook:
        text = channels(team=hook.url, gone="http://127.0.0.1:1/")
        result = run(text, "--format", "json")
        assert run(text, "team").exit_code == 0
    assert result.exit_code == 1
    said = {one["channel"]: one["taken"] for one in json.loads(result.output)}
    assert said == {"team": True, "gone": False}


def test_without_channels_there_is_nothing_to_try(run):
    result = run("{}\n")
    assert result.exit_code == 1
    assert "alerts.channels" in result.output


def test_a_name_that_is_none_gets_the_right_one_offered(run):
    result = run(channels(team="http://127.0.0.1:1/"), "taem")
    assert result.exit_code == 1
    assert "team" in result.output
