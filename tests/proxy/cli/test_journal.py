import json

import pytest
from typer.testing import CliRunner

from exporters.journal.quarantine import Quarantine
from exporters.journal.reader import add_segment
from exporters.journal.writer import Journal
from proxy.cli import app
from proxy.cli import journal as module
from tests.fakes.records import call, call_id, opened


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("TAXIMETER_CONFIG", "TAXIMETER_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    return lambda *arguments: CliRunner().invoke(app, ["journal", *arguments])


@pytest.fixture
def journal_dir(tmp_path):
    (tmp_path / "data" / "journal" / "w").mkdir(parents=True)
    add_segment(tmp_path / "data" / "journal", "w", 1, [call(1)])
    return tmp_path / "data" / "journal"


def test_the_status_of_nothing_is_that(run, tmp_path):
    result = run("status")
    assert result.exit_code == 0
    assert "waiting    0 segments" in result.output
    assert not (tmp_path / "data").exists()


def test_the_status_tells_what_waits_and_for_whom(run, journal_dir):
    Quarantine(journal_dir).put("w", 1, "torn", [b"{"])
    result = run("status")
    assert "waiting    1 segments" in result.output
    assert "room       yes" in result.output
    assert "quarantine 1 lines torn" in result.output
    assert "instance   w  dead, 1 segments" in result.output
    said = json.loads(run("status", "--format", "json").output)
    assert (said["segments"], said["instances"][0]["instance"]) == (1, "w")


def test_on_a_terminal_the_instances_are_a_table(run, journal_dir, monkeypatch):
    monkeypatch.setattr(module, "on_terminal", lambda: True)
    result = run("status")
    assert result.exit_code == 0
    assert "instance" in result.output
    assert "dead" in result.output


def test_a_journal_that_is_full_says_so(run, journal_dir, tmp_path):
    (tmp_path / "taximeter.yaml").write_text("journal: {max_bytes: 1, on_full: refuse}\n")
    assert "FULL (max_bytes): calls are refused" in run("status").output


def test_what_cannot_be_shipped_is_one_sentence_and_status_1(run, tmp_path):
    result = run("ship", str(tmp_path / "nowhere"))
    assert result.exit_code == 1
    assert result.stderr.startswith(f"{tmp_path}/nowhere is no folder")


@pytest.mark.real
def test_a_dead_machine_is_shipped_into_the_embedded_store_while_nothing_runs(run, tmp_path):
    (tmp_path / "taximeter.yaml").write_text("store: {listen: '127.0.0.1:0'}\n")
    journal = Journal(tmp_path / "dead" / "journal", "w1")
    for number in (1, 2):
        journal.open_call(opened(number))
    journal.close_call(call(1))
    journal.close()
    tried = run("ship", "dead", "--dry-run")
    assert "2 calls would be delivered, 0 more were in the store already" in tried.output
    assert "1 calls were under way and would be closed as interrupted" in tried.output
    said = json.loads(run("ship", "dead", "--format", "json").output)
    assert (said["calls"], said["known"], said["interrupted"]) == (2, 0, 1)
    again = run("ship", "dead")
    assert again.exit_code == 0
    assert "0 calls were delivered, 2 more were in the store already" in again.output
    assert call_id(1) in next((tmp_path / "dead" / "journal" / "w1").glob("*.jsonl")).read_text()
