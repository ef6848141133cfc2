from datetime import UTC, date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from exporters.reports import budgets, costs, month, savings
from exporters.reports.before import compared, period_before
from exporters.reports.dimensions import parse_by
from exporters.reports.period import Period, elapsed_of, parse_month
from exporters.reports.question import Question
from exporters.reports.report import exact_sum
from tests.fakes.finance import rated

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
WHOLE = parse_month("2026-11", "UTC", NOW)
ELAPSED = elapsed_of(WHOLE, NOW)
MADE_AT = NOW


def measures(calls, cost, estimated=None):
    return (calls, 0, 10, None, 10, cost, calls, int(estimated is not None), 0, 0, estimated, None)


def by_day(amounts, period):
    """The report by day of what each cost, in dollars."""
    rows = [(1, "USD", "metered", str(day), *measures(1, cost)) for day, cost in sorted(amounts.items())]
    total = (0, "USD", "metered", *measures(len(rows), exact_sum(list(amounts.values()))))
    return costs.build(Question(period=period, by=parse_by("day")), [total, *rows] if rows else [])


def teams(cost, period, by="team", estimated=None):
    rows = [(part, "USD", "metered", *(("a",) if part else ()), *measures(3, cost, estimated)) for part in (0, 1)]
    if by != "team":
        rows[1] = (1, "USD", "metered", "a", "", "", "", *measures(3, cost, estimated))
    return costs.build(Question(period=period, by=parse_by(by)), rows)


def answers(days, whole=WHOLE, elapsed=ELAPSED):
    spent = exact_sum([cost for day, cost in days.items() if day >= elapsed.since.date()]) or Decimal(0)
    before = period_before(elapsed)
    return month.Answers(
        whole=whole,
        elapsed=elapsed,
        before=before,
        days=by_day(days, month.history_of(whole, elapsed)),
        groups=compared(teams(spent, elapsed, estimated=Decimal("0.5")), teams(Decimal(100), before), 20),
        callers=teams(spent, elapsed, "team,project,user,key_id"),
        savings=savings.build(Question(period=elapsed), [rated(per=1000, cached=1000)]),
        budgets=budgets.build(elapsed, []),
    )


def steady(cost, first=date(2026, 9, 6), last=date(2026, 11, 24)):
    return {date.fromordinal(n): Decimal(cost) for n in range(first.toordinal(), last.toordinal() + 1)}


def test_a_month_has_its_total_with_parts_change_forecast_and_savings():
    found = month.document(answers(steady(10)), MADE_AT)
    (total,) = found.part("totals").report.records(found.part("totals").report.rows)
    assert (total["cost"], total["cost_before"], total["change"]) == (240, 100, 140)
    assert (total["estimated"], total["estimated_cost"], total["unpriced"], total["interrupted"]) == (
        1,
        Decimal("0.5"),
        0,
        0,
    )
    # Half of today and six days are to come.
    assert (total["forecast_low"], total["forecast"], total["forecast_high"]) == (305, 305, 305)
    assert total["saved_by_caches"] == Decimal("2.7")
    assert "by the end about 305.0000 (305.0000 to 305.0000)" in found.figures[0].lines


def test_an_odd_day_is_among_the_anomalies_and_has_its_colour():
    found = month.document(answers(steady(10) | {date(2026, 11, 20): Decimal(90)}), MADE_AT)
    odd = found.part("anomalies").report
    assert [(one["day"], one["cost"], one["usual"]) for one in odd.records(odd.rows)] == [("2026-11-20", 90, 10)]
    assert [bar.label for bar in found.charts[0].bars if bar.odd] == ["2026-11-20"]


def test_a_day_without_a_single_call_is_odd_where_there_always_were_some():
    days = steady(10)
    del days[date(2026, 11, 19)]
    odd = month.document(answers(days), MADE_AT).part("anomalies").report
    assert [(one["day"], one["calls"], one["cost"]) for one in odd.records(odd.rows)] == [("2026-11-19", 0, 0)]


def test_today_is_not_judged_before_it_is_over():
    found = month.document(answers(steady(10) | {date(2026, 11, 24): Decimal(0)}), MADE_AT)
    assert found.part("anomalies").report.rows == ()


def test_a_month_that_is_over_has_no_forecast_but_its_sum():
    now = datetime(2026, 12, 3, tzinfo=UTC)
    elapsed = elapsed_of(WHOLE, now)
    found = month.document(answers(steady(10, last=date(2026, 11, 30)), elapsed=elapsed), now)
    (total,) = found.part("totals").report.records(found.part("totals").report.rows)
    assert (total["forecast_low"], total["forecast"], total["forecast_high"]) == (300, 300, 300)
    assert not any("by the end" in line for line in found.figures[0].lines)


def test_days_add_up_to_the_month():
    report = month.document(answers(steady("0.1")), MADE_AT).part("days").report
    assert exact_sum([one["cost"] for one in report.records(report.rows)]) == report.records(report.totals)[0]["cost"]


@given(st.integers(0, 3600 * 24 * 40), st.integers(0, 3600 * 24 * 40))
def test_what_is_to_come_is_all_the_time_between_and_no_more(since_s, length_s):
    zone = ZoneInfo("Europe/Berlin")
    start_s = 1_790_000_000 + since_s
    now, end = (datetime.fromtimestamp(at_s, zone) for at_s in (start_s, start_s + length_s))
    elapsed, whole = (Period(since=now, until=until, tz="Europe/Berlin") for until in (now, end))
    days = month.to_come(elapsed, whole)
    assert all(0 < part <= 1 for _, part in days)
    assert len({day for day, _ in days}) == len(days)
    # Days of 23 and 25 hours are days.
    assert abs(float(sum(part for _, part in days)) * 86_400 - length_s) <= 3601
