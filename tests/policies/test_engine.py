"""Decisions are values with their reasons."""

from policies.engine import Allow, CallFacts, Target, decide
from proxy.core.facts import RequestFacts
from proxy.core.record import Caller


def test_without_a_policy_a_call_goes_where_its_path_says_with_its_own_model():
    call = CallFacts(provider="minimax", operation="chat", request=RequestFacts(model="MiniMax-M3"), caller=Caller())

    assert decide(call) == Allow(plan=(Target(provider="minimax", model=None),))
