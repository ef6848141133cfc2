import json

import pytest
from typer.testing import CliRunner

from proxy.cli import app

NOTHING_RUNS = "store: {listen: '127.0.0.1:1'}\n"


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("TAXIMETER_CONFIG", "TAXIMETER_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)

    def run(text, *arguments):
        (tmp_path / "taximeter.yaml").write_text(text)
        return CliRunner().invoke(app, ["doctor", *arguments])

    return run


def test_without_a_terminal_each_finding_is_a_line(run):
    result = run(NOTHING_RUNS)
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[0].startswith("Taximeter ")
    assert any(line.startswith("note  processes") and "taximeter serve" in line for line in lines)
    assert all(line.split()[0] in {"good", "note", "bad"} for line in lines[1:])


def test_what_is_wrong_ends_with_status_1(run):
    result = run("store: {url: 'http://127.0.0.1:1'}\n")
    assert result.exit_code == 1
    assert any(line.startswith("bad   store") for line in result.output.splitlines())


def test_programs_get_the_findings_and_the_whole_status(run, tmp_path):
    said = json.loads(run(NOTHING_RUNS, "--format", "json").output)
    assert said["healthy"]
    assert said["status"]["data_dir"] == str(tmp_path / "data")
    assert {"state", "about", "said", "advice"} == set(said["findings"][0])


def test_another_data_folder_can_be_looked_into(run, tmp_path):
    said = json.loads(run(NOTHING_RUNS, "--format", "json", "--data-dir", "elsewhere").output)
    assert said["status"]["data_dir"] == str(tmp_path / "elsewhere")


def test_mistakes_in_the_configuration_come_first(run):
    result = run("nonsense: 1\n")
    assert result.exit_code == 1
    assert result.stderr.startswith("taximeter.yaml:1: nonsense: unknown key")
