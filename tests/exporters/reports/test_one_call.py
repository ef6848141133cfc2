from datetime import UTC, datetime
from decimal import Decimal

import pytest

from exporters.reports.errors import BadQuestionError
from exporters.reports.one_call import ATTEMPT, CALL, plain, whole_call
from exporters.reports.period import unix_ns

AT_NS = unix_ns(datetime(2026, 11, 2, 1, 2, 3, tzinfo=UTC))
LINES = [
    (
        "input",
        Decimal("1200.000000000000"),
        Decimal("0E-12"),
        Decimal("0.300000000000000000"),
        1_000_000,
        Decimal("0.00036"),
        "book/m3",
    ),
    ("output", Decimal(340), Decimal(0), Decimal("1.2"), 1_000_000, Decimal("0.000408"), "book/m3"),
]


class Store:
    def __init__(self, calls, attempts=()):
        self.answers = [calls, attempts]
        self.asked = []

    def rows(self, query):
        self.asked.append(query)
        return self.answers[len(self.asked) - 1]


def row(names, **values):
    return tuple(
        values.get(name, [] if name in {"cost_reasons", "reasons", "changes", "price_lines"} else None)
        for name in names
    )


def test_a_call_that_the_store_has_not_is_none():
    assert whole_call(Store([]), "c1") is None


def test_an_attempt_has_its_place_in_the_call_and_its_price_as_a_formula():
    calls = [(AT_NS, *row(CALL, call_id="c1", cost=Decimal("0.000768000000000000")))]
    attempts = [
        (
            AT_NS + 2_500_000,
            *row(ATTEMPT, attempt=1, price_lines=LINES, list_cost_currency="USD", cost_reasons=["service_tier:flex"]),
        )
    ]
    whole = whole_call(Store(calls, attempts), "c1", "Asia/Shanghai")
    assert whole.call["started_at"] == "2026-11-02T09:02:03+08:00"
    assert whole.call["cost"] == "0.000768"
    (one,) = whole.attempts
    assert one["offset_ms"] == 2.5
    assert [line["formula"] for line in one["price_lines"]] == [
        "input: 1,200 x 0.3 / 1,000,000 = 0.00036 USD",
        "output: 340 x 1.2 / 1,000,000 = 0.000408 USD",
    ]
    assert one["price_lines"][0]["price_id"] == "book/m3"
    assert whole.reasons == {"service_tier:flex": "the price has no rates for this service tier: standard rates"}


def test_the_id_is_a_bound_value_and_attempts_are_looked_for_around_the_call():
    store = Store([(AT_NS, *row(CALL, call_id="c1"))])
    whole_call(store, "it's")
    assert [query.parameters["id"] for query in store.asked] == ["it's", "it's"]
    assert "it's" not in store.asked[0].sql
    assert store.asked[1].parameters["from_ns"] < AT_NS < store.asked[1].parameters["to_ns"]


def test_a_zone_that_is_none_is_a_wrong_question():
    with pytest.raises(BadQuestionError):
        whole_call(Store([]), "c1", "Mars")


def test_values_become_plain_json():
    assert plain({"a": (Decimal("1.50"), None, [datetime(2026, 1, 1, tzinfo=UTC)])}) == {
        "a": ["1.5", None, ["2026-01-01T00:00:00+00:00"]]
    }
