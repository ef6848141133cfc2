import json

import msgspec
import pytest
from typer.testing import CliRunner

from exporters.journal.quarantine import Quarantine
from proxy.cli import app
from proxy.cli import journal_quarantine as module
from tests.fakes.records import call, call_id


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("TAXIMETER_CONFIG", "TAXIMETER_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "taximeter.yaml").write_text("store: {url: 'http://127.0.0.1:1'}\n")

    def run(*arguments, **more):
        return CliRunner().invoke(app, ["journal", "quarantine", *arguments], **more)

    return run


@pytest.fixture
def quarantine(tmp_path):
    quarantine = Quarantine(tmp_path / "data" / "journal")
    quarantine.put("worker-1", 7, "newer", [msgspec.json.encode(call(1))] * 3)
    quarantine.put("worker-2", 1, "refused-calls", [b'{"call_id":"x"}'], why="no such column")
    return quarantine


def test_nothing_in_quarantine_is_an_empty_list(run):
    assert run("list").output == ""
    assert json.loads(run("list", "--format", "json").output) == []


def test_entries_are_listed_for_people_and_programs(run, quarantine, monkeypatch):
    lines = run("list").output.splitlines()
    assert lines[0].startswith("worker-1.00000007.newer.3  20")
    said = json.loads(run("list", "--format", "json").output)
    assert [one["reason"] for one in said] == ["newer", "refused-calls"]
    assert (said[1]["why"], said[1]["lines"], said[1]["segment"]) == ("no such column", 1, 1)
    monkeypatch.setattr(module, "on_terminal", lambda: True)
    assert "put aside" in run("list").output


def test_an_entry_is_shown_with_the_reason_and_its_first_lines(run, quarantine):
    output = run("show", "worker-1", "--lines", "2").output
    assert "3 lines newer, of segment 7 of worker-1" in output
    assert output.count(call_id(1)) == 2
    assert "and 1 lines more" in output
    assert "refused   no such column" in run("show", "worker-2").output
    said = json.loads(run("show", "worker-2", "--format", "json").output)
    assert (said["id"], said["content"][0]["kind"]) == ("worker-2.00000001.refused-calls.1", "row")


def test_an_id_that_fits_none_or_several_is_refused(run, quarantine):
    for command in ("show", "drop", "resubmit"):
        for wrong in ("worker-", "nobody"):
            result = run(command, wrong)
            assert result.exit_code == 1
            assert f"there is no entry {wrong}" in result.stderr


def test_dropping_asks_first(run, quarantine):
    assert run("drop", "worker-1", input="n\n").exit_code == 1
    assert len(quarantine.entries()) == 2
    assert "3 lines" in run("drop", "worker-1", input="y\n").output
    assert "dropped" in run("drop", "worker-2", "--yes").output
    assert quarantine.entries() == []
    assert [note["done"] for note in quarantine.notes()] == ["dropped", "dropped"]


def test_resubmitting_needs_to_know_what(run, quarantine):
    for arguments in ((), ("worker-1", "--all")):
        result = run("resubmit", *arguments)
        assert result.exit_code == 1
        assert "an ID, or --all" in result.stderr


def test_nothing_to_resubmit_is_no_mistake(run):
    assert run("resubmit", "--all").exit_code == 0


def test_a_store_that_does_not_answer_leaves_all_where_it_is(run, quarantine):
    result = run("resubmit", "--all")
    assert result.exit_code == 1
    assert "nothing is lost" in result.stderr
    assert len(quarantine.entries()) == 2


def test_what_stays_is_said_with_status_1(run, tmp_path):
    Quarantine(tmp_path / "data" / "journal").put("w", 1, "torn", [b"{"])
    result = run("resubmit", "--all")
    assert result.exit_code == 1
    assert "stays: no line of it can be read" in result.output
    assert json.loads(run("resubmit", "w", "--format", "json").output)[0]["done"] is False
