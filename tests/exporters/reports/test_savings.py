from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from exporters.reports import savings
from exporters.reports.dimensions import parse_where
from exporters.reports.question import Question
from exporters.reports.report import exact_sum
from tests.fakes.finance import PERIOD

QUESTION = Question(period=PERIOD, where=parse_where(["team=a'b"]))
MILLION = 1_000_000


def test_nothing_that_was_typed_is_in_the_sql():
    query = savings.query(QUESTION)
    assert "a'b" not in query.sql
    assert query.parameters["where0"] == ["a'b"]


def test_a_saving_is_exact_and_what_was_paid_to_write_is_taken_off():
    rows = [
        ("m", "USD", "metered", MILLION, 1000, 1000, Decimal(2700), Decimal(300)),
        ("m", "USD", "metered", 1000, 10, 10, Decimal(1), Decimal(0)),
        ("n", "USD", "subscription", MILLION, 5, 5, Decimal(1), Decimal(0)),
    ]
    report = savings.build(QUESTION, rows)
    (one, other) = report.records(report.rows)
    assert (one["saved"], one["paid_for_writes"], one["net"]) == (
        Decimal("0.0037"),
        Decimal("0.0003"),
        Decimal("0.0034"),
    )
    assert other["net"] == Decimal("0.000001")
    assert savings.net_of(report) == {
        ("USD", "metered"): Decimal("0.0034"),
        ("USD", "subscription"): Decimal("0.000001"),
    }


def test_without_both_rates_nothing_is_claimed():
    report = savings.build(QUESTION, [("m", "USD", "metered", 0, 700, 0, Decimal(0), Decimal(0))])
    (row,) = report.records(report.rows)
    assert (row["cached_input_tokens"], row["claimed_tokens"], row["saved"], row["net"]) == (700, 0, None, None)
    assert savings.net_of(report) == {}


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(("USD", "CNY")), st.integers(0, 10**30))))
def test_rows_add_up_to_the_totals(drawn):
    rows = [
        (model, currency, "metered", MILLION, 1, 1, Decimal(x).scaleb(-30), Decimal(0)) for model, currency, x in drawn
    ]
    report = savings.build(QUESTION, rows)
    for total in report.records(report.totals):
        members = [one["saved"] for one in report.records(report.rows) if one["currency"] == total["currency"]]
        assert exact_sum(members) == total["saved"]
