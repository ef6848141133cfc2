"""A call that a budget cannot hold for at one target of its plan may go to the others."""

import pytest

from policies.compiled import Budget, CompiledPolicies, ModelRate, Window
from policies.decision import Allow, Deny
from policies.engine import Engine, nothing_known
from policies.facts import CallFacts, Inputs
from policies.holdable import held_for
from proxy.core.facts import RequestFacts
from proxy.core.record import Caller

NOW_NS = 1_795_000_000 * 10**9
USD = 10**9
DOLLARS = ModelRate(id="x", provider="a", models=("*",), currency="USD", input_nano=10**9, output_nano=2 * 10**9)
YUAN = ModelRate(id="y", provider="b", models=("*",), currency="CNY", input_nano=10**9, output_nano=2 * 10**9)
FIRST, FOREIGN, UNKNOWN = ("a", "m"), ("b", "m"), ("c", "m")


def decided(*targets, **rule):
    """The narrowed call and the decision, after the engine has refused the whole plan."""
    window = Window(shape="month")
    budget = Budget(**{"name": "b", "policy": "budget:b", "unit": "USD", "limit": 5 * USD, "window": window} | rule)
    engine = Engine(CompiledPolicies(budgets=(budget,), rates=(DOLLARS, YUAN)))
    call = CallFacts(
        provider="a",
        operation="chat",
        inputs=Inputs(text_bytes=976),
        request=RequestFacts(model="m", max_output_tokens=500),
        caller=Caller(team="search"),
        targets=targets,
    )
    denied = engine.decide(call, NOW_NS, nothing_known)
    assert isinstance(denied, Deny)
    return held_for(engine, call, denied, NOW_NS, nothing_known)


@pytest.mark.parametrize("other", [FOREIGN, UNKNOWN])
def test_a_target_that_cannot_be_held_for_is_left_out_and_the_call_goes_to_the_other(other):
    for targets in ((FIRST, other), (other, FIRST)):
        call, decision = decided(*targets)

        assert call.targets == (FIRST,)
        assert isinstance(decision, Allow)
        assert decision.demands[0].amount > 0


def test_a_call_that_can_be_held_for_nowhere_is_refused_for_its_first_target():
    call, decision = decided(UNKNOWN, FOREIGN)

    assert call.targets == (UNKNOWN, FOREIGN)
    assert (decision.status, decision.code) == (403, "policy_unknown_price")


def test_a_plan_of_one_target_is_refused_as_before():
    assert decided(FOREIGN)[1].code == "policy_other_currency"
