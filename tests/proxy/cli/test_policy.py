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


CALL = ("--model", "MiniMax-M3", "--user", "jo", "--max-tokens", "100", "--at", "2026-11-24T12:00:00+01:00")


def test_an_imagined_call_is_explained(run):
    result = run("explain", *CALL)

    assert result.exit_code == 0
    assert "It would be ADMITTED." in result.output
    assert "in budget:each|user=jo@2026-11-24T00:00:00Z" in result.output


def test_what_is_spent_can_be_said(run):
    shown = json.loads(run("explain", *CALL, "--spent", "budget:each|user=jo=5 USD", "--format", "json").output)

    assert (shown["decision"], shown["code"]) == ("deny", "budget_exceeded")


def test_another_policy_can_be_asked(run, tmp_path):
    (tmp_path / "other.yaml").write_text(POLICY.replace("each", "other"))

    assert "budget:other|user=jo" in run("explain", *CALL, "--policy", "other.yaml").output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--provider", "opnai"), "did you mean openai?"),
        (("--at", "noon"), "--at must be"),
        (("--at", "2026-11-24T12:00:00"), "--at needs its zone"),
        (("--spent", "budget:each=5"), "--spent must be an amount"),
        (("--tag", "env"), "--tag must be"),
        (("--call", "x' OR 1"), "a call id is made of"),
    ],
)
def test_a_question_that_cannot_be_asked_ends_with_1(run, arguments, says):
    result = run("explain", *arguments)

    assert result.exit_code == 1
    assert says in result.output


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
