import math
from datetime import UTC, datetime
from decimal import Decimal

from exporters.reports import providers
from exporters.reports.period import Period
from exporters.reports.question import Question
from proxy.core.price import Listing

PERIOD = Period(since=datetime(2026, 11, 1, tzinfo=UTC), until=datetime(2026, 11, 8, tzinfo=UTC), tz="UTC")
QUESTION = Question(period=PERIOD)
MEASURES = {
    "kind": "minimax", "host": "api.minimax.io", "requests": 10, "judged": 8, "good": 6, "minutes": 5, "minutes_up": 4,
    "latency": [812.34, 1999.96], "ttft": 99.5, "speed": 55.55, "spent": {"USD": Decimal("0.0006")},
    "billed_tokens": {"USD": 1000},
}  # fmt: skip


def no_prices(_provider, _kind, _host, _model, _at_ns):
    return None


def build(list_prices=no_prices, **changes):
    report = providers.build(QUESTION, [("minimax", "MiniMax-M3", *(MEASURES | changes).values())], list_prices)
    return report.records(report.rows)


def test_rates_speeds_and_the_effective_price():
    (row,) = build()
    assert row["requests"] == 10
    assert row["success_rate"] == Decimal("0.75")
    assert row["uptime"] == Decimal("0.8")
    assert (row["latency_p50"], row["latency_p95"]) == (Decimal("812.3"), Decimal("2000.0"))
    assert (row["ttft_p50"], row["output_speed_p50"]) == (Decimal("99.5"), Decimal("55.5"))
    assert (row["effective_price"], row["currency"]) == (Decimal("0.6"), "USD")
    assert row["list_price_in"] is None


def test_list_price_and_context_come_from_the_price_list_at_the_end_of_the_period():
    asked = []

    def prices(*question):
        asked.append(question)
        return Listing(
            price_id="p", currency="USD", input_per_million=Decimal("0.30"), output_per_million=Decimal("1.20"),
            context_tokens=1_000_000,
        )  # fmt: skip

    (row,) = build(prices)
    assert asked == [("minimax", "minimax", "api.minimax.io", "MiniMax-M3", PERIOD.until_ns)]
    assert (row["list_price_in"], row["list_price_out"]) == (Decimal("0.30"), Decimal("1.20"))
    assert row["context_size"] == 1_000_000


def test_a_second_currency_is_a_row_of_its_own_and_never_mixed_in():
    rows = build(spent={"USD": Decimal(1), "CNY": Decimal(7)}, billed_tokens={"USD": 10**6, "CNY": 10**6})
    assert [(row["currency"], row["effective_price"], row["requests"]) for row in rows] == [
        ("CNY", Decimal(7), 10),
        ("USD", Decimal(1), None),
    ]


def test_a_list_price_stands_beside_the_effective_price_of_its_own_currency():
    rows = build(
        lambda *_: Listing(price_id="p", currency="USD", input_per_million=Decimal(1)),
        spent={"CNY": Decimal(7)},
        billed_tokens={"CNY": 10**6},
    )
    assert [(row["currency"], row["list_price_in"], row["effective_price"]) for row in rows] == [
        ("USD", Decimal(1), None),
        ("CNY", None, Decimal(7)),
    ]


def test_what_nobody_measured_is_not_known():
    (row,) = build(
        judged=0, good=0, latency=[math.nan, math.nan], ttft=math.nan, speed=math.nan, spent={}, billed_tokens={}
    )
    unknown = ("success_rate", "latency_p50", "latency_p95", "ttft_p50", "output_speed_p50", "effective_price")
    assert [row[name] for name in unknown] == [None] * 6
    assert row["currency"] is None


def test_money_without_a_token_has_no_price_per_million():
    (row,) = build(spent={"USD": Decimal(1)}, billed_tokens={"USD": 0})
    assert row["effective_price"] is None


def test_only_faults_of_the_provider_count_against_its_uptime():
    faults = providers.query(QUESTION).parameters["provider_faults"]
    assert "overloaded" in faults
    assert "rate_limit" in faults
    assert not {"auth", "invalid_request", "cancelled_by_client", "content_filter", "billing"} & set(faults)
