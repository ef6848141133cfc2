"""A counter is a rule, a scope and a window."""

from policies.compiled import Budget, Limit, Threshold, Window
from policies.counters import Counters, counter_id, enforcement, threshold_amount
from policies.demand import Carry
from policies.match import Bound
from policies.windows import NS

HOUR_NS = 3600 * NS
DAY_NS = 24 * HOUR_NS


def budget(**more):
    return Budget(
        **{"name": "b", "policy": "budget:b", "unit": "USD", "limit": 100, "window": Window(shape="day")} | more
    )


def bound(rule, scope="", limit=None):
    family = f"{rule.policy}|{scope}" if scope else rule.policy
    return Bound(rule, 0, family, scope, rule.limit if limit is None else limit, 0)


def test_a_budget_has_a_counter_for_each_window():
    counters, one = Counters(), bound(budget(), "team=a")
    first, same, second = (counters.demand(one, 5, at_ns) for at_ns in (0, DAY_NS - 1, DAY_NS))

    assert first.counter == same.counter == "budget:b|team=a@1970-01-01T00:00:00Z"
    assert (second.counter, second.family) == ("budget:b|team=a@1970-01-02T00:00:00Z", "budget:b|team=a")
    assert (first.starts_at_ns, first.ends_at_ns) == (0, DAY_NS)


def test_time_may_go_back():
    counters, one = Counters(), bound(budget())
    counters.demand(one, 5, DAY_NS)

    assert counters.demand(one, 5, DAY_NS - 1).starts_at_ns == 0


def test_grace_is_added_to_the_limit_and_thresholds_are_not():
    demand = Counters().demand(bound(budget(grace=10, thresholds=(Threshold(at=8000, acts=("alert",)),))), 5, 0)

    assert (demand.limit, demand.stated, demand.thresholds) == (110, 100, (80,))


def test_a_rolling_window_names_its_older_buckets():
    rule = budget(window=Window(shape="rolling", length_ns=3 * HOUR_NS, buckets=3))
    demand = Counters().demand(bound(rule), 5, 5 * HOUR_NS)

    assert demand.counter == "budget:b@1970-01-01T05:00:00Z"
    assert demand.also == tuple(f"budget:b@1970-01-01T0{hour}:00:00Z" for hour in (2, 3, 4))
    assert (demand.bucket_ns, demand.ends_at_ns) == (HOUR_NS, 9 * HOUR_NS)


def test_what_a_window_left_is_carried_over_from_the_day_on_that_the_policy_names():
    rule = budget(carry_most=30, carry_since_ns=DAY_NS)
    counters = Counters()

    assert counters.demand(bound(rule), 5, DAY_NS).carry is None
    later = counters.demand(bound(rule), 5, 2 * DAY_NS).carry
    assert later == Carry(counter="budget:b@1970-01-02T00:00:00Z", limit=100, most=30)


def test_a_pace_has_one_counter_and_its_burst():
    rule = Limit(name="l", policy="limit:l", unit="calls", limit=60, per_ns=60 * NS, burst=10)
    demand = Counters().demand(bound(rule, limit=120), 1, 77)

    assert (demand.kind, demand.counter, demand.stated, demand.limit) == ("rate", "limit:l", 120, 20)
    assert demand.ends_at_ns is None


def test_calls_at_the_same_time_have_no_window():
    demand = Counters().demand(bound(Limit(name="l", policy="limit:l", unit="concurrent", limit=4)), 1, 77)

    assert (demand.kind, demand.limit) == ("concurrent", 4)


def test_a_rule_in_shadow_refuses_nothing():
    assert enforcement(budget(shadow=True, enforce="hard")) == "observe"
    assert Counters().demand(bound(budget(shadow=True)), 1, 0).enforce == "observe"


def test_a_threshold_is_rounded_up():
    assert threshold_amount(3, 5000) == 2


def test_a_counter_without_a_window_is_its_family():
    assert counter_id("budget:b", "") == "budget:b"
