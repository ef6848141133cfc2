"""`taximeter audit`: the log, for people and for programs."""

import json

import pytest
from typer.testing import CliRunner

from policies import audit
from proxy.cli import app


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TAXIMETER_CONFIG", raising=False)
    (tmp_path / "data").mkdir()

    def run(*arguments):
        return CliRunner().invoke(app, ["audit", *arguments])

    return run


def test_an_empty_log_says_so(run):
    result = run()

    assert (result.exit_code, result.output) == (0, "nothing was changed yet\n")


def test_the_last_changes_are_shown_oldest_first(run, tmp_path):
    for number in range(3):
        audit.note(tmp_path / "data", "key.create", f"k{number}", by="jo", team="search")

    lines = run("--limit", "2").output.splitlines()

    assert [line.split("  ")[-2] for line in lines] == ["k1", "k2"]
    assert "UTC  jo" in lines[0]
    assert lines[0].endswith("team=search")
    assert len(run("--limit", "0").output.splitlines()) == 3


def test_it_can_be_asked_for_one_thing(run, tmp_path):
    audit.note(tmp_path / "data", "key.create", "a", by="jo")
    audit.note(tmp_path / "data", "key.revoke", "b", by="jo")
    audit.note(tmp_path / "data", "policies.load", "p.yaml", by="supervisor")

    def asked(*arguments):
        return [one["subject"] for one in json.loads(run(*arguments, "--format", "json").stdout)]

    assert asked("--action", "key") == ["a", "b"]
    assert asked("--action", "key.revoke") == ["b"]
    assert asked("--subject", "p.yaml") == ["p.yaml"]


def test_lines_that_cannot_be_read_are_counted(run, tmp_path):
    audit.note(tmp_path / "data", "key.create", "a", by="jo")
    with (tmp_path / "data" / audit.FILE_NAME).open("ab") as opened:
        opened.write(b"torn")

    assert "1 lines of the log cannot be read" in run().stderr
