from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters.alerts.pace import DAY_NS, PACE_NS, Level, exhausted_at_ns, grown, present_levels, run_rate
from policies.compiled import Budget, Window
from policies.ledger.books import Recorded, TopUp
from policies.windows import span_at

USD = 10**9


def at(text):
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 10**9


NOW_NS = at("2026-11-11T12:00")


def budget(shape="month", name="b", **more):
    fields = {
        "name": name,
        "policy": f"budget:{name}",
        "unit": "USD",
        "limit": 500 * USD,
        "window": Window(shape=shape),
    }
    return Budget(**fields | more)


def level(spent, shape="month", **more):
    one = budget(shape, **more)
    span = span_at(one.window, NOW_NS)
    return Level(
        budget=one,
        family="budget:b|team=a",
        counter=f"budget:b|team=a@{span.label}",
        spent=spent,
        limit=one.limit,
        span=span,
    )


def recorded(counter, spent=7, unit="USD"):
    return Recorded(
        counter=counter,
        family=counter.partition("@")[0],
        unit=unit,
        spent=spent,
        leased=0,
        allowed=0,
        starts_at_ns=0,
        ends_at_ns=None,
    )


def test_a_month_that_will_not_last_is_foreseen_to_the_day():
    # 30 USD a day, and 240 left: eight days from the 11th.
    found = exhausted_at_ns(level(260 * USD), 210 * USD, PACE_NS, NOW_NS)
    assert found == at("2026-11-19T12:00")
    signal = run_rate(level(260 * USD), 210 * USD, PACE_NS, found).describe()
    assert signal.title == "budget b (team=a) will be exhausted on Thursday, 19 November"
    assert (
        signal.text
        == "260 USD of 500 USD spent, and 30 USD a day in the last 7.0 days. Its month ends on Tuesday, 1 December."
    )
    assert signal.fields["exhausted_at"] == "2026-11-19T12:00:00Z"


@pytest.mark.parametrize(
    ("spent", "lately", "known_ns"),
    [
        (260 * USD, 70 * USD, PACE_NS),  # 10 a day last for 24 days
        (500 * USD, 210 * USD, PACE_NS),  # it is spent: no forecast
        (49 * USD, 210 * USD, PACE_NS),  # hardly begun
        (260 * USD, 0, PACE_NS),
        (260 * USD, 210 * USD, DAY_NS - 1),  # not known for a day yet
        (0, 0, 0),
    ],
)
def test_what_lasts_or_cannot_be_told_is_no_forecast(spent, lately, known_ns):
    assert exhausted_at_ns(level(spent), lately, known_ns, NOW_NS) is None


def test_it_is_called_off_only_when_it_lasts_clearly():
    # 13 USD a day: spent on the 29th in the evening, within the last twentieth of the month.
    assert exhausted_at_ns(level(260 * USD), 91 * USD, PACE_NS, NOW_NS) is None
    assert exhausted_at_ns(level(260 * USD), 91 * USD, PACE_NS, NOW_NS, foreseen=True) is not None


def test_a_budget_without_a_window_is_told_two_weeks_before():
    assert exhausted_at_ns(level(260 * USD, "total"), 210 * USD, PACE_NS, NOW_NS) == at("2026-11-19T12:00")
    assert exhausted_at_ns(level(260 * USD, "total"), 70 * USD, PACE_NS, NOW_NS) is None


@given(
    st.integers(0, 10**15), st.integers(0, 10**15), st.integers(0, PACE_NS), st.sampled_from(["week", "month", "total"])
)
def test_a_forecast_lies_ahead_and_within_the_window(spent, lately, known_ns, shape):
    one = level(spent, shape)
    found = exhausted_at_ns(one, lately, known_ns, NOW_NS)
    assert found is None or NOW_NS <= found < (one.span.ends_ns or NOW_NS + 15 * DAY_NS)


def test_only_counters_of_the_present_window_whose_end_can_be_foreseen_count():
    budgets = {
        one.policy: one
        for one in (budget(), budget("day", "d"), budget("month", "s", shadow=True), budget("total", "t"))
    }
    books = [
        recorded("budget:b|team=a@2026-11-01T00:00:00Z"),
        recorded("budget:b|team=a@2026-10-01T00:00:00Z"),
        recorded("budget:d@2026-11-11T00:00:00Z"),
        recorded("budget:s@2026-11-01T00:00:00Z"),
        recorded("budget:gone@2026-11-01T00:00:00Z"),
        recorded("budget:t"),
    ]
    assert [one.counter for one in present_levels(budgets, books, (), NOW_NS)] == [books[0].counter, "budget:t"]


def test_named_limits_and_top_ups_of_this_window_count():
    budgets = {"budget:b": budget(overrides={"team=a": 100})}

    def top_up(amount, at_ns, until_ns=None, family="budget:b|team=a"):
        return TopUp(family=family, amount=amount, reason="", by="", at_ns=at_ns, until_ns=until_ns)

    added = [
        top_up(1, NOW_NS - DAY_NS),
        top_up(10, NOW_NS - 30 * DAY_NS),  # of the month before
        top_up(1000, NOW_NS - 30 * DAY_NS, NOW_NS + 1),
        top_up(10**4, NOW_NS + 1),
        top_up(10**5, NOW_NS, family="budget:b|team=b"),
    ]
    (one,) = present_levels(budgets, [recorded("budget:b|team=a@2026-11-01T00:00:00Z")], added, NOW_NS)
    assert one.limit == 1101


def test_what_grew_is_what_was_spent_since_the_last_look():
    levels = [level(10)]
    assert grown(levels, {}, first=True) == {}
    assert grown(levels, {}, first=False) == {"budget:b|team=a": 10}
    assert grown(levels, {levels[0].counter: 4}, first=False) == {"budget:b|team=a": 6}
    assert grown(levels, {levels[0].counter: 12}, first=False) == {}
