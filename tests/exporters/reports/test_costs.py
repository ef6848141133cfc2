from datetime import UTC, datetime
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from exporters.reports import costs
from exporters.reports.dimensions import parse_by, parse_where
from exporters.reports.period import Period
from exporters.reports.question import MAX_ROWS, Question

PERIOD = Period(since=datetime(2026, 11, 1, tzinfo=UTC), until=datetime(2026, 11, 8, tzinfo=UTC), tz="Europe/Berlin")


def ask(by="model", limit=None, where=()):
    return Question(period=PERIOD, by=parse_by(by), where=parse_where(where), limit=limit)


def measures(calls, cost, *, errors=0, tokens=None, priced=None, estimated=0, unpriced=0, interrupted=0):
    amount = None if cost is None else Decimal(cost)
    known = priced if priced is not None else (0 if cost is None else calls)
    return (calls, errors, tokens, None, tokens, amount, known, estimated, unpriced, interrupted, None, None)


def cells(report, rows, *names):
    return [tuple(record[name] for name in names) for record in report.records(rows)]


def test_nothing_that_was_typed_is_in_the_sql_and_all_of_it_is_bound():
    query = costs.query(ask("tag:x'; DROP TABLE calls", where=["team=' OR 1"]))
    assert "DROP" not in query.sql
    assert "' OR 1" not in query.sql
    assert query.parameters["by0_tag"] == "x'; DROP TABLE calls"
    assert query.parameters["where0"] == ["' OR 1"]
    assert query.parameters["tz"] == "Europe/Berlin"
    assert query.parameters["top"] == MAX_ROWS


def test_days_are_read_in_their_order_unless_the_dearest_are_asked_for():
    assert "ORDER BY part, in_currency, in_billing, by0, by1 LIMIT" in costs.query(ask("day,team")).sql
    assert "total_cost DESC" in costs.query(ask("day,team", limit=3)).sql
    assert "total_cost DESC" in costs.query(ask("team,day")).sql


def test_currencies_and_kinds_of_billing_are_never_added_up():
    rows = [
        (0, "", "", *measures(2, None)),
        (0, "CNY", "metered", *measures(1, "7")),
        (0, "USD", "metered", *measures(3, "2")),
        (0, "USD", "subscription", *measures(1, "5")),
        (1, "", "", "c", *measures(2, None)),
        (1, "CNY", "metered", "a", *measures(1, "7")),
        (1, "USD", "metered", "a", *measures(1, "1.5")),
        (1, "USD", "metered", "b", *measures(2, "0.5")),
        (1, "USD", "subscription", "a", *measures(1, "5")),
    ]
    report = costs.build(ask(), rows)
    assert cells(report, report.rows, "currency", "billing", "model", "calls", "cost", "share") == [
        ("CNY", "metered", "a", 1, Decimal(7), Decimal(1)),
        ("USD", "metered", "a", 1, Decimal("1.5"), Decimal("0.75")),
        ("USD", "metered", "b", 2, Decimal("0.5"), Decimal("0.25")),
        ("USD", "subscription", "a", 1, Decimal(5), Decimal(1)),
        ("", "", "c", 2, None, None),
    ]
    assert cells(report, report.totals, "currency", "billing", "model", "calls", "cost", "share") == [
        ("CNY", "metered", "total", 1, Decimal(7), Decimal(1)),
        ("USD", "metered", "total", 3, Decimal(2), Decimal(1)),
        ("USD", "subscription", "total", 1, Decimal(5), Decimal(1)),
        ("", "", "total", 2, None, None),
    ]


def test_every_total_says_how_many_calls_are_estimated_unpriced_and_interrupted():
    rows = [
        (0, "USD", "subscription", *measures(9, "2", estimated=3, unpriced=2, interrupted=1)),
        (1, "USD", "subscription", "a", *measures(9, "2", estimated=3, unpriced=2, interrupted=1)),
    ]
    report = costs.build(ask(), rows)
    (note,) = report.notes
    assert note.startswith("USD subscription (list-price equivalents, not money spent): 9 calls, ")
    assert note.endswith("of them 3 estimated, 2 unpriced, 1 interrupted.")
    assert cells(report, report.totals, "estimated", "unpriced", "interrupted") == [(3, 2, 1)]


def test_what_the_limit_leaves_out_stands_in_a_row_of_its_own():
    rows = [
        (0, "USD", "metered", *measures(10, "1.000000000000000001", errors=4, tokens=100, unpriced=1)),
        (1, "USD", "metered", "a", *measures(6, "0.7", errors=1, tokens=60)),
    ]
    report = costs.build(ask(limit=1), rows)
    assert cells(report, report.rows, "model", "calls", "errors", "input_tokens", "cost", "unpriced") == [
        ("a", 6, 1, 60, Decimal("0.7"), 0),
        ("(others)", 4, 3, 40, Decimal("0.300000000000000001"), 1),
    ]


def test_others_without_a_priced_call_have_no_cost():
    rows = [
        (0, "USD", "metered", *measures(3, "1", priced=1, unpriced=2)),
        (1, "USD", "metered", "a", *measures(1, "1")),
    ]
    report = costs.build(ask(limit=1), rows)
    assert cells(report, report.rows, "model", "calls", "cost", "share") == [
        ("a", 1, Decimal(1), Decimal(1)),
        ("(others)", 2, None, None),
    ]


def test_without_dimensions_there_is_one_row_per_section():
    total = (0, "USD", "metered", *measures(3, "1"))
    report = costs.build(ask(""), [total, (1, *total[1:])])
    assert [column.name for column in report.columns][:3] == ["currency", "billing", "calls"]
    assert len(report.rows) == 1


def test_currency_and_billing_are_columns_anyway():
    assert "by1" not in costs.query(ask("currency,model,billing")).sql
    report = costs.build(ask("currency,model,billing"), [])
    assert [column.name for column in report.columns][:3] == ["model", "currency", "billing"]


def test_an_hour_is_told_on_the_clock_of_the_reader():
    hour = int(datetime(2026, 10, 25, 1, tzinfo=UTC).timestamp())
    rows = [(0, "USD", "metered", *measures(1, "1")), (1, "USD", "metered", hour, *measures(1, "1"))]
    report = costs.build(ask("hour"), rows)
    assert report.columns[0].type == "hour"
    assert report.rows[0][0].isoformat() == "2026-10-25T02:00:00+01:00"


def test_no_rows_make_an_empty_report():
    report = costs.build(ask(), [])
    assert (report.rows, report.totals, report.notes) == ((), (), ())


AMOUNTS = st.none() | st.integers(0, 10**37)
"""In the smallest unit of the store, 18 decimals."""


def money(units):
    return Decimal(f"{units // 10**18}.{units % 10**18:018d}")


def smallest_units(amount):
    numerator, denominator = amount.as_integer_ratio()
    return numerator * 10**18 // denominator


@given(st.lists(st.tuples(st.integers(1, 9), AMOUNTS), min_size=1, max_size=12), st.integers(1, 12))
def test_rows_add_up_to_the_total_to_the_last_digit_whatever_the_limit(groups, limit):
    known = [units for _, units in groups if units is not None]
    calls = sum(count for count, _ in groups)
    total = measures(calls, money(sum(known)) if known else None, priced=len(known))
    rows = [(0, "USD", "metered", *total)] + [
        (
            1,
            "USD",
            "metered",
            f"m{number}",
            *measures(count, None if units is None else money(units), priced=int(units is not None)),
        )
        for number, (count, units) in enumerate(groups[:limit])
    ]
    report = costs.build(ask(limit=limit), rows)
    shown = report.records(report.rows)
    assert sum(row["calls"] for row in shown) == calls
    assert sum(smallest_units(row["cost"]) for row in shown if row["cost"] is not None) == sum(known)
