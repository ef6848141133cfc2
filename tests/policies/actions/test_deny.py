"""A threshold can refuse."""

from policies.actions.base import Passed
from policies.actions.deny import DENY
from policies.compiled import Budget, Threshold, Window
from policies.facts import CallFacts
from proxy.core.facts import RequestFacts
from proxy.core.record import Caller


def passed(used=850, threshold=None, **call):
    facts = {"provider": "p", "operation": "chat", "request": RequestFacts(model="MiniMax-M3"), "caller": Caller()}
    return Passed(
        budget=Budget(name="b", policy="budget:b", unit="tokens", limit=1000, window=Window(shape="total"), status=402),
        scope="team=search",
        threshold=threshold or Threshold(at=8000, acts=("alert",)),
        counter="budget:b",
        used=used,
        stated=1000,
        call=CallFacts(**facts | call),
    )


def test_the_call_is_refused_with_the_status_of_the_budget():
    effect = DENY.act(passed())

    assert DENY.moment == "before"
    assert (effect.deny_status, effect.deny_code) == (402, "budget_threshold")
    assert "80 %" in effect.message
