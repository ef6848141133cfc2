"""How budgets stand: limits, carry-overs, top-ups, thresholds and forecasts, each as the ledger reckons it."""

from exporters.alerts.pace import DAY_NS
from exporters.ledger.standing import Lately, standings
from policies.compiled import Budget, Threshold, Window
from policies.ledger.books import Recorded, TopUp

USD = 10**9
NOW_NS = 1_763_985_600 * 10**9  # 2025-11-24T12:00:00Z
NOVEMBER, OCTOBER = "2025-11-01T00:00:00Z", "2025-10-01T00:00:00Z"


def budget(**more):
    fields = {"name": "b", "policy": "budget:b", "unit": "USD", "limit": 10 * USD, "window": Window(shape="month")}
    return Budget(**fields | more)


def recorded(counter, spent, leased=0):
    return Recorded(
        counter=counter, family=counter.partition("@")[0], unit="USD", spent=spent, leased=leased, allowed=0,
        starts_at_ns=0, ends_at_ns=None,
    )  # fmt: skip


def stand(rule, *counters, top_ups=(), lately=None):
    return standings({rule.policy: rule}, counters, top_ups, NOW_NS, lately)


def test_what_is_left_counts_grace_carry_over_top_ups_and_holds():
    rule = budget(
        grace=USD,
        carry_most=4 * USD,
        thresholds=(Threshold(at=2000, acts=("alert",)), Threshold(at=8000, acts=("deny",))),
    )
    made = TopUp(family="budget:b", amount=2 * USD, reason="r", by="ada", at_ns=NOW_NS - 5)
    old = TopUp(family="budget:b", amount=99 * USD, reason="r", by="ada", at_ns=NOW_NS - 40 * DAY_NS)

    (one,) = stand(
        rule,
        recorded(f"budget:b@{NOVEMBER}", 3 * USD, USD),
        recorded(f"budget:b@{OCTOBER}", 7 * USD),
        top_ups=[made, old],
    )

    assert (one.carry, one.topped_up, one.top_ups) == (3 * USD, 2 * USD, (made,))
    assert (one.allowed, one.remaining, one.passed) == (16 * USD, 12 * USD, (2000,))


def test_a_scope_that_is_named_is_told_before_it_calls_and_others_when_they_have():
    rule = budget(per=("team",), overrides={"team=a": 20 * USD})
    found = stand(rule, recorded(f"budget:b|team=c@{NOVEMBER}", 1))
    assert [(one.scope, one.limit // USD, one.spent) for one in found] == [("team=a", 20, 0), ("team=c", 10, 1)]
    assert [one.scope for one in stand(budget(per=("team",)))] == ["*"]


def test_a_rolling_window_is_the_sum_of_its_buckets():
    rule = budget(window=Window(shape="rolling", length_ns=4 * 3600 * 10**9, buckets=4))
    names = [f"budget:b@2025-11-24T{hour:02}:00:00Z" for hour in (7, 8, 12)]
    (one,) = stand(rule, *(recorded(name, 10**at) for at, name in enumerate(names)))
    assert one.spent == 110
    assert one.begins_ns == NOW_NS - 4 * 3600 * 10**9


def test_a_forecast_is_that_of_the_alerts():
    counter = recorded(f"budget:b@{NOVEMBER}", 8 * USD)
    (one,) = stand(budget(), counter, lately=Lately(spent={"budget:b": 7 * USD}, known_ns=7 * DAY_NS))
    assert one.exhausted_at_ns == NOW_NS + 2 * DAY_NS
    assert stand(budget(), counter)[0].exhausted_at_ns is None
