from datetime import date, timedelta
from decimal import Decimal
from statistics import median

from hypothesis import given
from hypothesis import strategies as st

from exporters.reports.anomalies import judge

FRIDAY = date(2026, 11, 20)
AMOUNTS = st.decimals(0, 10**9, places=18, allow_nan=False)


def fridays(cost, *before):
    return {FRIDAY: Decimal(cost)} | {
        FRIDAY - timedelta(weeks=week): Decimal(amount) for week, amount in enumerate(before, 1)
    }


def test_a_day_far_above_its_like_is_odd_and_one_like_them_is_not():
    (high,) = judge(fridays(30, 10, 11, 9, 10, 12), [FRIDAY])
    (usual,) = judge(fridays(11, 10, 11, 9, 10, 12), [FRIDAY])
    assert (high.odd, high.usual, high.score) == (True, 10, Decimal("13.5"))
    assert not usual.odd


def test_a_day_far_below_its_like_is_odd_too():
    (low,) = judge(fridays(0, 10, 11, 9, 10, 12), [FRIDAY])
    assert (low.odd, low.score < 0) == (True, True)


def test_a_quiet_weekend_is_held_against_weekends():
    days = {FRIDAY - timedelta(n): Decimal(1 if (FRIDAY - timedelta(n)).weekday() > 4 else 10) for n in range(60)}
    assert not any(one.odd for one in judge(days, days))


def test_one_odd_day_before_does_not_hide_the_next():
    (found,) = judge(fridays(100, 100, 10, 10, 11, 10, 9), [FRIDAY])
    assert found.odd


def test_steady_days_do_not_make_every_penny_odd():
    (found,) = judge(fridays("10.10", 10, 10, 10, 10), [FRIDAY])
    assert not found.odd


def test_money_where_there_never_was_any_is_odd():
    (found,) = judge(fridays("0.01", 0, 0, 0, 0), [FRIDAY])
    (none,) = judge(fridays(0, 0, 0, 0, 0), [FRIDAY])
    assert (found.odd, none.odd) == (True, False)


def test_of_too_few_days_nothing_is_said():
    assert judge(fridays(99, 1, 1, 1), [FRIDAY]) == []


@given(AMOUNTS, st.lists(AMOUNTS, min_size=4, max_size=8), st.lists(AMOUNTS, max_size=5))
def test_what_comes_later_never_changes_what_was_said(cost, before, after):
    days = fridays(cost, *before)
    later = {FRIDAY + timedelta(number + 1): amount for number, amount in enumerate(after)}
    assert judge(days, [FRIDAY]) == judge(days | later, [FRIDAY])


@given(st.lists(AMOUNTS, min_size=4, max_size=8))
def test_the_median_itself_is_never_odd(before):
    (found,) = judge(fridays(median(before), *before), [FRIDAY])
    assert not found.odd
