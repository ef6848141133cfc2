"""A downgrade names another model."""

from policies.actions.base import Passed
from policies.actions.downgrade import DOWNGRADE
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


CHEAPER = Threshold(at=8000, acts=("downgrade",), model="MiniMax-M2")


def test_another_model_is_asked_for():
    assert DOWNGRADE.moment == "before"
    assert DOWNGRADE.act(passed(threshold=CHEAPER)).model == "MiniMax-M2"


def test_a_call_for_that_model_is_left_as_it_is():
    assert DOWNGRADE.act(passed(threshold=CHEAPER, request=RequestFacts(model="minimax-m2"))) is None
