"""What is prepared is good for as long as all of its windows."""

from policies.compiled import Budget, Limit, Threshold, Window
from policies.counters import Counters
from policies.decision import Tell
from policies.match import Bound
from policies.prepared import Prepared
from policies.windows import NS

HOUR_NS = 3600 * NS


def bound(shape, **more):
    rule = Budget(name="b", policy=f"budget:{shape}", unit="USD", limit=100, window=Window(shape=shape), **more)
    return Bound(rule, 0, rule.policy, "", rule.limit, 0)


def prepared(*bounds, now_ns=0):
    return Prepared(bounds, Counters(), now_ns)


def test_it_is_good_until_the_first_window_turns():
    found = prepared(bound("day"), bound("hour"), bound("total"), now_ns=25 * HOUR_NS)

    assert (found.since_ns, found.until_ns) == (25 * HOUR_NS, 26 * HOUR_NS)


def test_without_windows_it_is_good_for_ever():
    limit = Limit(name="l", policy="limit:l", unit="calls", limit=4, per_ns=NS)

    assert prepared(bound("total"), Bound(limit, 1, "limit:l", "", 4, 1)).until_ns is None


def test_it_knows_what_acts_before_a_call_and_what_is_told_after_it():
    thresholds = (Threshold(at=5000, acts=("alert",)), Threshold(at=8000, acts=("deny", "header")))
    found = prepared(bound("total", thresholds=thresholds), bound("day"))

    assert [entry.acts_from for entry in found.acting] == [80]
    assert found.tells == (Tell("budget:total", 50),)


def test_a_reason_names_a_rule_in_shadow_as_one():
    assert [entry.holds for entry in prepared(bound("day"), bound("hour", shadow=True)).entries] == [
        "budget:day:hold=",
        "shadow:budget:hour:hold=",
    ]
