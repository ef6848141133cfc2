"""What is left of a budget can be for virtual keys."""

from policies.actions.base import Passed
from policies.actions.require_key import REQUIRE_KEY
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


def test_a_call_without_a_virtual_key_is_refused():
    effect = REQUIRE_KEY.act(passed())

    assert REQUIRE_KEY.moment == "before"
    assert (effect.deny_status, effect.deny_code) == (403, "key_required")
    assert "80 %" in effect.message


def test_a_call_with_one_passes():
    assert REQUIRE_KEY.act(passed(key="ci")) is None
