"""How full a budget is, in percent."""

from policies.actions.base import Passed, used_percent
from policies.compiled import Budget, Threshold, Window
from policies.facts import CallFacts
from proxy.core.facts import RequestFacts
from proxy.core.record import Caller


def passed(used, stated=1000, act="deny", model="", key="", asked="MiniMax-M3", **more):
    budget = Budget(name="b", policy="budget:b", unit="tokens", limit=stated, window=Window(shape="total"), **more)
    return Passed(
        budget=budget,
        scope="team=search",
        threshold=Threshold(at=8000, acts=(act,), model=model),
        counter="budget:b",
        used=used,
        stated=stated,
        call=CallFacts(provider="p", operation="chat", key=key, request=RequestFacts(model=asked), caller=Caller()),
    )


def test_percent_are_rounded_down():
    assert used_percent(passed(809)) == 80


def test_of_nothing_all_is_used():
    assert used_percent(passed(0, stated=0)) == 100
