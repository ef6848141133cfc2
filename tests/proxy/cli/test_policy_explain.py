"""`taximeter policy explain`: what it prints, and with what status it ends."""

import json

import pytest
from typer.testing import CliRunner

from proxy.cli import app

POLICY = "version: 1\nbudgets:\n  each: {per: user, limit: 5 USD, window: day}\n"


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TAXIMETER_CONFIG", raising=False)
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "p.yaml").write_text(POLICY)
    (tmp_path / "taximeter.yaml").write_text("workers: 1\n")

    def run(*arguments):
        return CliRunner().invoke(app, ["policy", *arguments])

    return run


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


ROUTE = "version: 1\nroutes:\n  chat: {targets: [minimax/MiniMax-M3, openai/gpt-5]}\n"


def test_the_way_of_a_call_is_explained(run, tmp_path):
    (tmp_path / "routes.yaml").write_text(ROUTE)
    (tmp_path / "body.json").write_text('{"model": "MiniMax-M3", "messages": [], "reasoning_split": true}')

    told = run("explain", *CALL, "-p", "routes.yaml").output
    way = json.loads(run("explain", *CALL, "-p", "routes.yaml", "--body", "body.json", "--format", "json").output)[
        "way"
    ]

    assert "Its way: route chat" in told
    assert [one["target"] for one in way["targets"]] == ["minimax/MiniMax-M3", "openai/gpt-5"]
    assert "model_replaced" in way["targets"][1]["changes"]


def test_a_request_that_cannot_be_read_ends_the_command(run):
    result = run("explain", *CALL, "--body", "none.json")

    assert result.exit_code != 0
    assert "none.json cannot be read" in result.output


def test_policies_without_routes_say_nothing_of_ways(run):
    assert "Its way" not in run("explain", *CALL).output


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("fast", "chat of gpt-5 at openai"),
        ("minimax/MiniMax-M2", "chat of MiniMax-M2 at minimax"),
        ("smart", "chat of smart at openai"),
    ],
)
def test_a_model_that_says_where_a_call_goes_is_explained(run, tmp_path, model, says):
    (tmp_path / "named.yaml").write_text(
        "version: 1\naliases: {fast: openai/gpt-5}\nroutes:\n"
        "  named: {match: {model: smart}, targets: [openai/gpt-5, minimax/MiniMax-M3]}\n"
    )

    assert run("explain", "--provider", "v1", "--model", model, "-p", "named.yaml").output.startswith(says)


def test_a_model_that_leads_nowhere_ends_the_command(run):
    result = run("explain", "--provider", "v1", "--model", "nope")

    assert result.exit_code == 1
    assert "no alias, no name of a route and no provider/model" in result.output
