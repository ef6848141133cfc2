from datetime import date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters.reports import costs
from exporters.reports.before import compared, period_before
from exporters.reports.dimensions import parse_by
from exporters.reports.errors import BadQuestionError
from exporters.reports.period import Period, unix_ns
from exporters.reports.question import Question
from exporters.reports.report import exact_sum

BERLIN = ZoneInfo("Europe/Berlin")


def period(since, until, zone=BERLIN):
    since, until = (datetime.fromisoformat(text).replace(tzinfo=zone) for text in (since, until))
    return Period(since=since, until=until, tz=zone.key)


@pytest.mark.parametrize(
    ("since", "until", "before"),
    [
        ("2026-11-01", "2026-12-01", ("2026-10-01T00:00:00+02:00", "2026-11-01T00:00:00+01:00")),
        ("2026-11-01", "2026-11-24T12:00", ("2026-10-01T00:00:00+02:00", "2026-10-24T12:00:00+02:00")),
        ("2026-03-01", "2026-03-31T12:00", ("2026-02-01T00:00:00+01:00", "2026-03-01T00:00:00+01:00")),
        ("2026-01-01", "2026-04-01", ("2025-10-01T00:00:00+02:00", "2026-01-01T00:00:00+01:00")),
        ("2026-10-26", "2026-10-28", ("2026-10-24T00:00:00+02:00", "2026-10-26T00:00:00+01:00")),
        ("2026-11-23", "2026-11-24T06:00", ("2026-11-21T00:00:00+01:00", "2026-11-22T06:00:00+01:00")),
        ("2026-11-24T08:30", "2026-11-24T09:00", ("2026-11-24T08:00:00+01:00", "2026-11-24T08:30:00+01:00")),
    ],
)
def test_the_period_before_follows_the_calendar(since, until, before):
    found = period_before(period(since, until))
    assert (found.since.isoformat(), found.until.isoformat()) == before


@given(st.integers(0, 3 * 10**9), st.integers(1, 3 * 10**7))
def test_the_period_before_never_reaches_into_the_period(since_s, length_s):
    since, until = (datetime.fromtimestamp(at_s, BERLIN) for at_s in (since_s, since_s + length_s))
    one = Period(since=since, until=until, tz="Europe/Berlin")
    found = period_before(one)
    assert found.since_ns < found.until_ns <= one.since_ns


@given(st.dates(date(2000, 1, 1), date(2100, 1, 1)), st.integers(1, 400))
def test_whole_days_and_months_are_held_against_whole_ones(day, count):
    since = datetime.combine(day, time(), BERLIN)
    found = period_before(Period(since=since, until=since + timedelta(days=count), tz="Europe/Berlin"))
    assert (found.since.time(), found.until.time()) == (time(), time())
    assert found.since_ns < found.until_ns <= unix_ns(since)


def report(amounts, by="team"):
    """Of teams and what each cost, in dollars."""
    question = Question(period=period("2026-11-01", "2026-12-01"), by=parse_by(by))
    cost = exact_sum(list(amounts.values()))
    total = [(0, "USD", "metered", *measures(len(amounts), cost))] if amounts else []
    return costs.build(
        question, [*total, *((1, "USD", "metered", team, *measures(1, one)) for team, one in amounts.items())]
    )


def measures(calls, cost):
    return (calls, 0, None, None, None, cost, calls, 0, 0, 0, None, None)


def figures(found, rows):
    return [
        tuple(one[name] for name in ("team", "calls", "cost", "cost_before", "change", "change_ratio"))
        for one in found.records(rows)
    ]


def test_what_is_new_and_what_is_gone_is_shown_beside_what_stayed():
    found = compared(report({"a": Decimal(3), "new": Decimal(1)}), report({"a": Decimal(2), "gone": Decimal(5)}))
    assert figures(found, found.rows) == [
        ("a", 1, 3, 2, 1, Decimal("0.5")),
        ("new", 1, 1, 0, 1, None),
        ("gone", 0, 0, 5, -5, -1),
    ]
    assert figures(found, found.totals) == [("total", 2, 4, 7, -3, Decimal("-0.428571"))]


def test_with_a_limit_the_others_are_one_row_of_both_periods():
    found = compared(report({"a": Decimal(3), "b": Decimal(1)}), report({"b": Decimal(2), "gone": Decimal(5)}), limit=1)
    assert figures(found, found.rows) == [("a", 1, 3, 0, 3, None), ("(others)", 1, 1, 7, -6, Decimal("-0.857143"))]


def test_days_are_not_compared():
    with pytest.raises(BadQuestionError, match="day"):
        compared(report({}, by="day"), report({}, by="day"))


AMOUNTS = st.dictionaries(st.sampled_from("abcdefgh"), st.decimals(0, 10**9, places=18), max_size=8)


@given(AMOUNTS, AMOUNTS, st.none() | st.integers(1, 9))
def test_rows_add_up_to_the_totals_of_both_periods(now, then, limit):
    found = compared(report(now), report(then), limit)
    for name in ("cost", "cost_before", "change"):
        rows = exact_sum([one[name] for one in found.records(found.rows)])
        assert [rows] == [one[name] for one in found.records(found.totals)] or not (now or then)
