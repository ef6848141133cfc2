"""An alert is one sentence with all that matters."""

from policies.actions.alert import ALERT
from policies.actions.base import Passed
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


def test_the_sentence_names_budget_scope_used_and_limit():
    assert ALERT.moment == "after"
    assert ALERT.act(passed()).alert == "budget b of team=search: 85 % used, 850 tokens of 1000 tokens"
