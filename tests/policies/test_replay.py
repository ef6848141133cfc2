from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.compiled import Budget, CompiledPolicies, KeyRule, Limit, ModelRate, Threshold, Window
from policies.engine import Engine
from policies.facts import CallFacts, Inputs
from policies.replay import Replay, StoredCall, money_text
from policies.routes_compiled import Route, RouteTarget, Routing
from proxy.core.facts import RequestFacts
from proxy.core.record import Caller

S = 10**9
USD = 10**9
DAY_NS = 86_400 * S
NOON_NS = 1_795_521_600 * S
"""2026-11-24T12:00:00Z."""
RATE = ModelRate(id="p", provider="p", models=("m",), currency="USD", input_nano=USD, output_nano=USD)


def call(at_s=0, cost="1", user="jo", *, tokens=(10, 10), key="", model="m", **more):
    facts = CallFacts(
        provider="p",
        operation="chat",
        key=key,
        request=RequestFacts(model=model, max_output_tokens=tokens[1]),
        inputs=Inputs(text_bytes=tokens[0]),
        caller=Caller(user=user, key_id=key),
    )
    fields = {
        "at_ns": NOON_NS + int(at_s * S),
        "duration_ns": S,
        "facts": facts,
        "input_tokens": tokens[0],
        "output_tokens": tokens[1],
        "costs": {} if cost is None else {"USD": Decimal(cost)},
    }
    return StoredCall(**fields | more)


def budget(name="b", **more):
    fields = {"policy": f"budget:{name}", "unit": "USD", "limit": 5 * USD, "window": Window(shape="day")}
    return Budget(**{"name": name} | fields | more)


def replayed(rules, *calls, limits=(), keys=None):
    policies = CompiledPolicies(budgets=rules, limits=limits, keys=keys or {}, rates=(RATE,))
    one = Replay(Engine(policies))
    for each in calls:
        one.offer(each)
    return one.result()


def test_without_policies_everything_passes():
    found = replayed((), *(call(number) for number in range(3)))
    assert (found.calls, found.refused, found.costs, found.saved) == (3, 0, {"USD": Decimal(3)}, {})


def test_a_budget_refuses_what_does_not_fit_and_says_what_that_saves():
    found = replayed((budget(),), *(call(number, "2") for number in range(4)))
    assert (found.refused, found.saved) == (2, {"USD": Decimal(4)})
    assert found.rules["budget:b"].refused == 2
    curve = found.budgets["budget:b"]
    assert (curve.counters, curve.passed, curve.by_day) == (1, 0, {"2026-11-24": "4"})
    assert (curve.fullest_spent, curve.fullest_limit, curve.fullest_percent) == ("4", "5", 80)


def test_what_was_refused_leaves_room_for_what_is_smaller():
    found = replayed((budget(),), call(0, "4"), call(1, "2"), call(2, "1"))
    assert (found.refused, found.budgets["budget:b"].passed) == (1, 1)


def test_a_new_window_begins_with_nothing_spent():
    found = replayed((budget(),), call(0, "5"), call(DAY_NS // S, "5"))
    assert (found.refused, found.budgets["budget:b"].counters) == (0, 2)
    assert found.budgets["budget:b"].by_day == {"2026-11-24": "5", "2026-11-25": "5"}


def test_a_rolling_window_counts_its_older_buckets():
    window = Window(shape="rolling", length_ns=DAY_NS, buckets=24)
    hours = [0, 10, 23, 26]
    found = replayed((budget(window=window),), *(call(hour * 3600, "2") for hour in hours))
    assert found.refused == 1  # at 23 h three calls are more than 5 USD; at 26 h the first has gone


def test_each_scope_has_a_counter():
    found = replayed((budget(per=("user",)),), call(0, "5", "a"), call(1, "5", "b"), call(2, "1", "b"))
    assert (found.refused, found.budgets["budget:b"].counters) == (1, 2)


def test_a_soft_budget_refuses_once_it_is_spent_and_one_that_observes_never():
    calls = [call(number, "4") for number in range(3)]
    assert replayed((budget(enforce="soft"),), *calls).refused == 1
    found = replayed((budget(enforce="observe"),), *calls)
    assert (found.refused, found.rules["budget:b"].would_refuse) == (0, 2)


def test_a_carry_over_brings_what_was_left():
    rule = budget(carry_most=2 * USD)
    found = replayed((rule,), call(0, "4"), call(DAY_NS // S, "6"), call(2 * DAY_NS // S, "6"))
    assert found.refused == 1  # the second day has 5 + 1, the third 5 + 0


def test_a_pace_refills():
    limit = Limit(name="rpm", policy="limit:rpm", unit="calls", limit=2, per_ns=60 * S)
    found = replayed((), *(call(at_s) for at_s in (0, 1, 2, 31, 32)), limits=(limit,))
    assert (found.refused, found.rules["limit:rpm"].refused) == (2, 2)


def test_calls_at_the_same_time_are_those_that_had_not_ended():
    limit = Limit(name="few", policy="limit:few", unit="concurrent", limit=1)
    found = replayed((), call(0), call(0.5), call(1), call(1.5), limits=(limit,))
    assert found.rules["limit:few"].refused == 2


def test_thresholds_downgrade_and_deny():
    rule = budget(
        thresholds=(Threshold(at=5000, acts=("downgrade",), model="small"), Threshold(at=8000, acts=("deny",)))
    )
    found = replayed((rule,), *(call(number, "1") for number in range(6)))
    assert (found.downgraded, found.refused) == ({"small": 1}, 2)
    assert found.rules["budget:b"].refused == 2


def test_a_key_that_may_not_is_refused_by_its_own_name():
    rules = {"ci": KeyRule(name="ci", models=("other",))}
    assert replayed((), call(key="ci"), keys=rules).rules["key:ci"].refused == 1


def test_a_call_without_a_price_is_refused_as_its_policy_says():
    assert replayed((budget(),), call(model="unknown")).rules["budget:b"].refused == 1
    assert replayed((budget(unknown_price=0),), call(model="unknown")).refused == 0


def test_what_was_refused_then_has_no_cost_and_is_left_out():
    found = replayed((budget(limit=0),), call(cost=None, was_refused=True))
    assert (found.calls, found.refused, found.left_out) == (1, 0, {"refused_then": 1})


def test_a_call_whose_bound_nobody_knows_is_left_out():
    rate = ModelRate(id="s", provider="p", models=("m",), currency="USD", units_nano={"characters": USD})
    one = Replay(Engine(CompiledPolicies(budgets=(budget(),), rates=(rate,))))
    one.offer(call())
    assert one.result().left_out == {"bound_not_known": 1}


def test_a_clamped_call_goes_with_what_is_left():
    rule = budget(unit="tokens", limit=100, clamp_min=10)
    found = replayed((rule,), call(0, tokens=(50, 20)), call(1, tokens=(10, 90)), call(2, tokens=(1, 1)))
    assert (found.rules["budget:b"].clamped, found.rules["budget:b"].refused) == (1, 1)
    assert found.budgets["budget:b"].fullest_spent == "100"


def test_other_currencies_count_by_the_rate_of_the_rule():
    rule = budget(exchange={"CNY": Decimal("0.1")})
    rate = ModelRate(id="c", provider="p", models=("m",), currency="CNY", input_nano=USD, output_nano=USD)
    one = Replay(Engine(CompiledPolicies(budgets=(rule,), rates=(rate,))))
    for number in range(3):
        one.offer(call(number, costs={"CNY": Decimal(20)}))
    found = one.result()
    assert (found.refused, found.saved) == (1, {"CNY": Decimal(20)})


CALLS = st.lists(
    st.tuples(st.integers(0, 5 * 86_400), st.integers(0, 3 * 10**9), st.sampled_from(["a", "b"])), max_size=60
)


@given(CALLS, st.integers(1, 6 * 10**9), st.sampled_from(["day", "week", "total"]))
def test_a_hard_budget_is_never_passed_and_money_adds_up(calls, limit, shape):
    rule = budget(limit=limit, window=Window(shape=shape), per=("user",))
    offered = [call(at_s, str(Decimal(nano).scaleb(-9)), user) for at_s, nano, user in sorted(calls)]
    found = replayed((rule,), *offered)
    curve = found.budgets["budget:b"]
    drawn = sum((Decimal(amount) for amount in curve.by_day.values()), Decimal(0))
    assert curve.fullest_percent <= 100
    assert drawn + found.saved.get("USD", 0) == found.costs.get("USD", 0)


@pytest.mark.parametrize(
    ("amounts", "text"),
    [({}, "-"), ({"USD": Decimal(0)}, "-"), ({"USD": Decimal("12.500"), "CNY": Decimal(100)}, "100 CNY, 12.5 USD")],
)
def test_money_is_told_by_currency(amounts, text):
    assert money_text(amounts) == text


def test_a_downgraded_call_draws_what_the_cheaper_model_costs():
    small = ModelRate(
        id="s", provider="p", models=("small",), currency="USD", input_nano=USD // 4, output_nano=USD // 4
    )
    rule = budget(thresholds=(Threshold(at=5000, acts=("downgrade",), model="small"),))
    routing = Routing(routes=(Route(name="all", targets=(RouteTarget(id="p", provider="p"),)),))
    one = Replay(Engine(CompiledPolicies(budgets=(rule,), rates=(RATE, small), routing=routing)))
    for each in (call(0, "3"), call(1, "1")):
        one.offer(each)
    found = one.result()

    assert found.downgraded == {"small": 1}
    assert found.saved_by_downgrades == {"USD": Decimal("0.75")}
    assert found.budgets["budget:b"].fullest_spent == "3.25"
    assert found.routes == {"all": 2}
