from datetime import date, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from exporters.reports.forecast import forecast

MONDAY = date(2026, 11, 2)
AMOUNTS = st.decimals(0, 10**9, places=18, allow_nan=False)


def days(amounts):
    return {MONDAY + timedelta(number): Decimal(amount) for number, amount in enumerate(amounts)}


def to_come(count, part=Decimal(1)):
    return [(MONDAY + timedelta(60 + number), part) for number in range(count)]


def test_steady_days_make_an_exact_forecast_without_a_range():
    found = forecast(Decimal(20), days([2] * 14), to_come(5))
    assert (found.low, found.expected, found.high) == (30, 30, 30)


def test_a_weekend_is_expected_to_cost_what_weekends_did():
    week = [10, 10, 10, 10, 10, 1, 1]
    saturday = MONDAY + timedelta(61 + (5 - (MONDAY + timedelta(61)).weekday()) % 7)
    found = forecast(Decimal(0), days(week * 4), [(saturday, Decimal(1)), (saturday + timedelta(1), Decimal(1))])
    assert (found.low, found.expected, found.high) == (2, 2, 2)


def test_the_rest_of_today_counts_by_its_part():
    assert forecast(Decimal(7), days([4] * 7), to_come(1, Decimal("0.25"))).expected == 8


def test_of_days_that_differ_the_range_is_as_wide_as_they_say():
    # One weekday, costs 0 and 2 about a mean of 1: a variance of 4 / 3, one day to come, four known.
    found = forecast(
        Decimal(0), {MONDAY + timedelta(7 * n): Decimal(n % 2 * 2) for n in range(4)}, [(MONDAY, Decimal(1))]
    )
    assert found.expected == 1
    assert (found.low, found.high) == (0, Decimal("2.654538"))


def test_too_few_days_say_nothing_and_a_period_that_is_over_needs_none():
    assert forecast(Decimal(5), days([1, 1]), to_come(1)) is None
    assert forecast(Decimal(5), {}, []).expected == 5


@given(AMOUNTS, st.lists(AMOUNTS, min_size=3, max_size=60), st.integers(1, 31))
def test_the_range_holds_what_is_expected_and_never_less_than_what_is_spent(spent, amounts, count):
    found = forecast(spent, days(amounts), to_come(count))
    assert found.low <= found.expected <= found.high
    assert found.low >= spent - Decimal("0.000001")


@given(AMOUNTS, st.lists(AMOUNTS, min_size=3, max_size=60), st.integers(1, 31))
def test_another_unit_of_money_makes_another_figure_and_not_another_forecast(spent, amounts, count):
    found = forecast(spent, days(amounts), to_come(count))
    cents = forecast(spent * 100, days([amount * 100 for amount in amounts]), to_come(count))
    for one, other in zip(
        (found.low, found.expected, found.high), (cents.low, cents.expected, cents.high), strict=True
    ):
        assert abs(one * 100 - other) <= Decimal("0.000051")
