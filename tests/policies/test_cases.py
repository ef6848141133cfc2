"""Cases beside a policy hold or say what does not; those of the examples all hold."""

from pathlib import Path

import pytest

from policies.cases import run_file
from policies.load import TEST_SUFFIX, PolicyError
from proxy.governing import built_in_places

EXAMPLES = Path(__file__).parents[2] / "examples" / "policies"
POLICY = "version: 1\nbudgets:\n  b: {limit: 5 USD, window: day, thresholds: [{at: 80%, do: [alert, header]}]}\n"
PRICES = "version: 1\nprices: [{provider: minimax, input: '1', output: '1'}]\n"
CALL = "call: {model: m, max_tokens: 1000, body_bytes: 976}"


@pytest.fixture
def run(tmp_path):
    (tmp_path / "p.yaml").write_text(POLICY)

    def run(text):
        file = tmp_path / "p.test.yaml"
        file.write_text(PRICES + text)
        return run_file(file)

    return run


@pytest.mark.parametrize("policy", sorted(EXAMPLES.glob("*[!t].yaml"), key=str), ids=lambda file: file.name)
def test_every_example_has_cases_and_they_hold(policy):
    if policy.name.endswith(TEST_SUFFIX):
        pytest.skip("holds cases")
    outcomes = run_file(policy.with_name(policy.stem + TEST_SUFFIX), built_in_places())

    assert [(one.name, one.differences) for one in outcomes if one.differences] == []
    assert len(outcomes) >= 3


def test_a_case_that_holds_has_no_differences(run):
    (outcome,) = run(f"cases:\n  - {{{CALL}, expect: {{decision: allow, draws: {{'budget:b': 0.003 USD}}}}}}\n")

    assert (outcome.differences, outcome.name, outcome.line) == ((), "case 1", 4)


@pytest.mark.parametrize(
    ("spent", "expect", "difference"),
    [
        ("0 USD", "decision: deny", "decision: expected deny, got allow"),
        ("5 USD", "decision: allow", "decision: expected allow, got deny (budget b: "),
        ("5 USD", "status: 402", "status: expected 402, got 429"),
        ("5 USD", "code: other", "code: expected other, got budget_exceeded"),
        ("5 USD", "message: nothing of it", "message: nothing has 'nothing of it'"),
        ("5 USD", "retry_after: 5", "retry_after: expected 5, got 86400"),
        ("0 USD", "draws: {'budget:b': 1 USD}", "draws: expected {'budget:b': '1 USD'}, got {'budget:b': '0.003 USD'}"),
        ("0 USD", "header: b", "header: nothing has 'b'; there is []"),
        ("0 USD", "alerts: b", "alerts: nothing has 'b'"),
        ("0 USD", "reasons: [hold, other]", "reasons: nothing has 'other'"),
        ("0 USD", "downgrade: m", "downgrade: expected m, got "),
        ("0 USD", "route: r", "route: expected r, got "),
        ("0 USD", "targets: [m]", "targets: expected ['m'], got []"),
        ("0 USD", "changes: {m: [x]}", "changes: expected {'m': ['x']}, got {}"),
    ],
)
def test_what_is_not_as_expected_is_told(run, spent, expect, difference):
    (outcome,) = run(f"cases:\n  - {{{CALL}, spent: {{'budget:b': {spent}}}, expect: {{{expect}}}}}\n")

    assert len(outcome.differences) == 1
    assert outcome.differences[0].startswith(difference)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "needs cases"),
        ("cases: [{expect: {}}]\n", "cannot fail"),
        ("cases: [{expct: {decision: deny}}]\n", "did you mean expect?"),
        ("cases: [{expect: {decision: maybe}}]\n", "expect.decision: must be"),
        ("policies: [none.yaml]\ncases: [{expect: {decision: deny}}]\n", "cannot be read"),
    ],
)
def test_mistakes_of_a_file_of_cases_are_told(run, text, says):
    with pytest.raises(PolicyError, match=says.replace("?", r"\?")):
        run(text)
