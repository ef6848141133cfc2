from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from exporters.reports import savings
from exporters.reports.dimensions import parse_where
from exporters.reports.question import Question
from exporters.reports.report import exact_sum
from tests.fakes.finance import PERIOD, rated

QUESTION = Question(period=PERIOD, where=parse_where(["team=a'b"]))


def test_nothing_that_was_typed_is_in_the_sql():
    query = savings.query(QUESTION)
    assert "a'b" not in query.sql
    assert query.parameters["where0"] == ["a'b"]


def test_a_saving_is_exact_and_what_was_paid_to_write_is_taken_off():
    rows = [
        rated(cached=1000, written=100),
        rated(cached=10, tokens=10, per=1000),
        rated("n", billing="subscription", tokens=5, cached=5),
    ]
    report = savings.build(QUESTION, rows)
    (one, other) = report.records(report.rows)
    assert (one["cached_input_tokens"], one["claimed_tokens"]) == (1010, 1010)
    assert (one["saved"], one["paid_for_writes"], one["net"]) == (
        Decimal("0.0297"),
        Decimal("0.000075"),
        Decimal("0.029625"),
    )
    assert other["net"] == Decimal("0.0000135")
    assert savings.net_of(report) == {
        ("USD", "metered"): Decimal("0.029625"),
        ("USD", "subscription"): Decimal("0.0000135"),
    }


def test_without_both_rates_nothing_is_claimed():
    report = savings.build(QUESTION, [rated(per=0, tokens=700), rated("n", tokens=7, cached=0)])
    for row, tokens in zip(report.records(report.rows), (700, 7), strict=True):
        assert (row["cached_input_tokens"], row["claimed_tokens"], row["saved"], row["net"]) == (tokens, 0, None, None)
    assert savings.net_of(report) == {}


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(("USD", "CNY")), st.integers(0, 10**11))))
def test_rows_add_up_to_the_totals(drawn):
    report = savings.build(QUESTION, [rated(model, currency, cached=tokens) for model, currency, tokens in drawn])
    for total in report.records(report.totals):
        members = [one["saved"] for one in report.records(report.rows) if one["currency"] == total["currency"]]
        assert exact_sum(members) == total["saved"]
