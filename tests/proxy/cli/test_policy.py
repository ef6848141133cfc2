"""`taximeter policy`: what it prints, and with what status it ends."""

import json

import pytest
from typer.testing import CliRunner

from policies.schema import json_schema
from proxy.cli import app

POLICY = "version: 1\nbudgets:\n  each: {per: user, limit: 5 USD, window: day}\n"
CASES = """\
version: 1
prices: [{provider: minimax, input: '1', output: '1'}]
cases:
  - {name: good, call: {model: m, max_tokens: 10}, expect: {decision: allow}}
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TAXIMETER_CONFIG", raising=False)
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "p.yaml").write_text(POLICY)
    (tmp_path / "policies" / "p.test.yaml").write_text(CASES)
    (tmp_path / "taximeter.yaml").write_text("workers: 1\n")

    def run(*arguments):
        return CliRunner().invoke(app, ["policy", *arguments])

    return run


def test_good_policies_are_counted(run):
    result = run("check")

    assert result.exit_code == 0
    assert result.output.startswith("1 budgets, 0 limits, 0 keys: good (")


def test_programs_get_the_hash(run):
    shown = json.loads(run("check", "--format", "json").output)

    assert (shown["ok"], shown["budgets"]) == (True, 1)
    assert len(shown["hash"]) == 16


def test_a_mistake_has_its_line_and_ends_with_1(run, tmp_path):
    (tmp_path / "policies" / "p.yaml").write_text(POLICY.replace("limit", "limt"))
    result = run("check")

    assert result.exit_code == 1
    assert "p.yaml:3: budgets.each.limt: unknown key; did you mean limit?" in result.output
    assert json.loads(run("check", "--format", "json").output)["ok"] is False


def test_files_can_be_named(run, tmp_path):
    (tmp_path / "other.yaml").write_text("version: 1\nkeys: {ci: {}}\n")

    assert run("check", "other.yaml").output.startswith("0 budgets, 0 limits, 1 keys: good")


def test_without_policies_that_is_said(run, tmp_path):
    (tmp_path / "policies" / "p.yaml").unlink()

    assert run("check").output == "no policy files: every call goes where its path says\n"


def test_cases_that_hold_end_with_0(run):
    result = run("test")

    assert result.exit_code == 0
    assert result.output == "1 of 1 cases hold, in 1 file\n"


def test_a_case_that_does_not_hold_is_told_with_its_line_and_ends_with_1(run, tmp_path):
    (tmp_path / "policies" / "p.test.yaml").write_text(CASES.replace("allow", "deny"))
    result = run("test", "policies")

    assert result.exit_code == 1
    assert "p.test.yaml:4: good: decision: expected deny, got allow" in result.output
    assert "0 of 1 cases hold" in result.output


def test_a_policy_stands_for_its_cases(run):
    assert run("test", "policies/p.yaml").exit_code == 0


def test_mistakes_in_cases_end_with_1(run, tmp_path):
    (tmp_path / "policies" / "p.test.yaml").write_text("version: 1\ncases: []\n")
    result = run("test")

    assert result.exit_code == 1
    assert "needs cases" in result.output


def test_no_cases_end_with_1(run, tmp_path):
    (tmp_path / "policies" / "p.test.yaml").unlink()

    assert run("test").exit_code == 1


def test_the_schema_is_printed(run):
    assert json.loads(run("schema").output) == json_schema()
