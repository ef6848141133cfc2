import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.bounds import FRAME_TOKENS
from policies.clamp import clamped, with_limit
from policies.compiled import Budget, CompiledPolicies, ModelRate, Window
from policies.demand import Refused
from policies.engine import Allow, Engine
from policies.facts import CallFacts, Inputs
from proxy.core.facts import RequestFacts
from proxy.core.record import Caller

USD = 10**9
BYTES = 976
INPUT_TOKENS = BYTES + FRAME_TOKENS
"""2,000 tokens: 0.002 USD at a dollar a million."""


def engine(unit="USD", **more):
    fields = {
        "name": "b",
        "policy": "budget:b",
        "unit": unit,
        "limit": 5 * USD,
        "window": Window(shape="total"),
        "clamp_min": 256,
    }
    rate = ModelRate(
        id="p", provider="p", models=("m",), currency="USD", input_nano=USD, output_nano=2 * USD, context_tokens=100_000
    )
    return Engine(CompiledPolicies(budgets=(Budget(**fields | more),), rates=(rate,)))


def call(max_tokens=10_000, choices=None):
    return CallFacts(
        provider="p",
        operation="chat",
        request=RequestFacts(model="m", max_output_tokens=max_tokens, choices=choices),
        caller=Caller(),
        body_bytes=BYTES,
        inputs=Inputs(text_bytes=BYTES),
    )


def lowered(made, facts, left, **more):
    """The output limit of a call with so much left of the only budget; None where it is refused."""
    decision = made.decide(facts, 0)
    assert isinstance(decision, Allow)
    refused = Refused(demand=decision.demands[0], spent=0, held=0, allowed=left, **more)
    smaller = clamped(made, facts, decision, refused, 0)
    return None if smaller is None else smaller.request.max_output_tokens


def amount(made, facts):
    return made.decide(facts, 0).demands[0].amount


def test_what_is_left_after_the_input_goes_to_the_output():
    # 0.010 USD: 2,000 tokens of input take 0.002, and 0.008 buy 4,000 tokens of output.
    assert lowered(engine(), call(), 10 * 10**6) == 4000


def test_answers_share_what_is_left():
    assert lowered(engine(), call(choices=4), 10 * 10**6) == 1000


def test_a_call_that_states_no_limit_is_given_one():
    assert lowered(engine(), call(None), 10 * 10**6) == 4000


def test_tokens_are_clamped_as_money_is():
    assert lowered(engine("tokens"), call(), INPUT_TOKENS + 500) == 500
    assert lowered(engine("output_tokens"), call(), 300) == 300


@pytest.mark.parametrize(
    ("left", "more"),
    [
        (2 * 10**6 + 2 * 255_000, {}),  # 255 tokens would fit
        (10 * 10**6, {"clamp_min": None}),
        (10 * 10**6, {"clamp_min": 10_000}),
        (10 * 10**6, {"enforce": "soft"}),
        (0, {}),
        (-1, {}),
    ],
)
def test_it_is_refused_all_the_same(left, more):
    assert lowered(engine(**more), call(), left) is None


def test_the_stated_minimum_is_still_enough():
    assert lowered(engine(), call(), 2 * 10**6 + 2 * 256_000) == 256


def test_a_ledger_that_does_not_answer_is_no_lack_of_room():
    assert lowered(engine(), call(), 10 * 10**6, unavailable=True) is None


def test_a_budget_of_calls_is_not_a_matter_of_output():
    made = engine("calls", limit=1)
    assert lowered(made, call(), 0) is None


@given(st.integers(1, 10**6), st.integers(0, 25 * 10**6), st.integers(1, 5), st.sampled_from(["USD", "tokens"]))
def test_what_is_clamped_fits_and_is_the_most_that_does(max_tokens, left, choices, unit):
    made, facts = engine(unit), call(max_tokens, choices)
    found = lowered(made, facts, left)
    if found is not None:
        assert 256 <= found < max_tokens
        assert amount(made, with_limit(facts, found)) <= left
        assert amount(made, with_limit(facts, min(max_tokens, found + 2))) > left or found + 1 >= max_tokens
    elif amount(made, facts) > left and max_tokens > 256:
        assert amount(made, with_limit(facts, 256)) > left
