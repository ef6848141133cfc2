"""The ledger's answers as apps, alerts and records get them."""

import pytest

from policies.answers import after_admission, cut_short, refusal
from policies.compiled import Budget, CompiledPolicies, Threshold, Window
from policies.demand import Admitted, Demand, Level, Refused
from policies.engine import CallFacts, Engine
from policies.facts import Inputs
from proxy.core.facts import RequestFacts
from proxy.core.record import Caller

USD = 10**9
MINUTE_NS = 60 * 10**9


def demand(**more):
    defaults = {
        "counter": "budget:b|team=search@2026-11-01T00:00:00Z",
        "family": "budget:b|team=search",
        "policy": "budget:b",
        "unit": "USD",
        "amount": 30_000_000,
        "limit": 5 * USD,
        "stated": 5 * USD,
    }
    return Demand(**defaults | more)


def test_a_refusal_names_budget_spent_limit_and_when_it_frees():
    refused = Refused(demand=demand(), spent=4 * USD, held=USD - 1, allowed=5 * USD, frees_at_ns=90 * 10**9 + 1)
    deny = refusal(refused, 30 * 10**9)

    assert (deny.status, deny.code, deny.retry_after_s) == (429, "budget_exceeded", 61)
    assert deny.message == (
        "budget b (team=search): 4 USD of 5 USD spent, 0.999999 USD held, and this call may use up to 0.03 USD; "
        "frees at 1970-01-01T00:01:31Z"
    )
    assert deny.reasons == ("budget:b:deny:spent=4USD,held=0.999999999USD,hold=0.03USD,limit=5USD",)


def test_a_policy_may_refuse_with_402_and_a_total_never_frees():
    deny = refusal(Refused(demand=demand(status=402), spent=5 * USD, allowed=5 * USD), 0)

    assert (deny.status, deny.retry_after_s) == (402, None)
    assert "frees" not in deny.message


def test_a_retry_is_never_asked_for_at_once():
    assert refusal(Refused(demand=demand(), frees_at_ns=5), 10).retry_after_s == 1


@pytest.mark.parametrize(
    ("more", "code", "says"),
    [
        (
            {"kind": "rate", "unit": "calls", "per_ns": MINUTE_NS, "stated": 60, "limit": 60},
            "rate_limited",
            "60 calls in 60 s",
        ),
        ({"kind": "concurrent", "unit": "concurrent", "limit": 4}, "too_many_calls", "4 calls are under way"),
        ({"enforce": "soft"}, "budget_exceeded", "4 USD spent"),
    ],
)
def test_each_kind_of_rule_says_what_it_is_about(more, code, says):
    spent = 4 if "kind" in more else 4 * USD
    deny = refusal(Refused(demand=demand(**more), spent=spent, held=4, allowed=spent), 0)

    assert deny.code == code
    assert says in deny.message


def test_a_ledger_that_cannot_be_reached_is_no_fault_of_the_app():
    deny = refusal(Refused(demand=demand(), unavailable=True), 0)

    assert (deny.status, deny.code, deny.retry_after_s) == (503, "ledger_unavailable", 5)


CALL = CallFacts(
    provider="minimax",
    operation="chat",
    request=RequestFacts(model="m", max_output_tokens=1),
    caller=Caller(team="search"),
    inputs=Inputs(text_bytes=1),
)


def admitted(share, **more):
    rule = Budget(
        name="b",
        policy="budget:b",
        unit="tokens",
        limit=1000,
        window=Window(shape="total"),
        per=("team",),
        thresholds=(Threshold(at=8000, acts=("alert", "header")), Threshold(at=9000, acts=("header", "deny"))),
        **more,
    )
    engine = Engine(CompiledPolicies(budgets=(rule,)))
    demands = engine.decide(CALL, 0).demands
    levels = (Level(counter=demands[0].counter, spent=share - 1, held=1, allowed=1000),)
    return after_admission(engine, CALL, demands, Admitted(levels=levels), 0)


def test_below_every_threshold_nothing_is_told():
    assert admitted(799) == type(admitted(799))()


def test_a_threshold_that_is_passed_is_told_to_app_and_alerts():
    told = admitted(850)

    assert told.headers == {"x-taximeter-budget": "b; used=85%"}
    assert [(alert.at, alert.text) for alert in told.alerts] == [
        (8000, "budget b of team=search: 85 % used, 850 tokens of 1000 tokens")
    ]
    assert told.reasons == ("budget:b:at=80%:alert", "budget:b:at=80%:header")


def test_a_rule_in_shadow_tells_only_the_record():
    told = admitted(950, shadow=True)

    assert (told.headers, told.alerts) == ({}, ())
    assert "shadow:budget:b:at=80%:alert" in told.reasons


def test_what_an_observed_budget_would_have_refused_and_what_was_not_counted_is_recorded():
    one, other = demand(enforce="observe"), demand(counter="limit:rpm|team=a", policy="limit:rpm")
    answer = Admitted(would_refuse=(one.counter, "unheard of"), uncounted=(other.counter,))

    told = after_admission(Engine(), CALL, [one, other], answer, 0)
    assert told.reasons == ("limit:rpm:uncounted", "budget:b:would_deny")


def test_an_answer_that_is_ended_says_which_budget_has_no_more():
    refused = Refused(demand=demand(), spent=4 * USD, held=USD, allowed=5 * USD, frees_at_ns=90 * 10**9)
    deny = cut_short(refused, 30 * 10**9)

    assert (deny.status, deny.code, deny.reasons) == (429, "budget_exceeded", ("budget:b:cut",))
    assert deny.message == (
        "budget b (team=search): 4 USD of 5 USD spent, 1 USD held; the answer has used its share and ends here; "
        "frees at 1970-01-01T00:01:30Z"
    )


def test_an_answer_that_is_ended_for_want_of_a_ledger_says_so():
    deny = cut_short(Refused(demand=demand(), unavailable=True), 0)

    assert (deny.status, deny.code, deny.reasons) == (503, "ledger_unavailable", ("budget:b:cut:ledger_unavailable",))
