"""What the worker sets aside is what the recorder books, whichever way it is reckoned."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.compiled import ModelRate
from policies.settling import FlatRates, Settler
from policies.spent import spent
from proxy.core.money import Money
from proxy.core.price import Card, Price, Rates, Tier
from proxy.core.record import AttemptRecord, Caller, CallRecord, Draw, TraceIds
from proxy.core.usage import Usage
from proxy.prices.book import PriceBook
from proxy.prices.pricer import Pricer

NOW_NS = 1_795_000_000 * 10**9
rates = st.decimals(min_value=0, max_value=100, places=4)
tokens = st.none() | st.integers(0, 10**6)


def price(**fields):
    values = {"id": "p", "origin": "book", "currency": "USD", "kinds": ("openai",), "match": ("m",)}
    return Price(**values | fields)


def attempt(usage, **fields):
    values = {"attempt": 1, "span_id": "s", "started_at_ns": NOW_NS, "duration_ns": 1, "provider": "openai"}
    values |= {"kind": "openai", "host": "api.openai.com", "model": "m", "status": 200, "usage": usage}
    return AttemptRecord(**values | fields)


def call(*attempts, **fields):
    trace = TraceIds(trace_id="t", span_id="s")
    return CallRecord(
        v=1, call_id="c", started_at_ns=NOW_NS, duration_ns=1, trace=trace, caller=Caller(), provider="openai",
        attempts=attempts, **fields,
    )  # fmt: skip


def settler(*prices):
    rates = [ModelRate(id=one.id, provider="openai", models=one.match, currency="USD", price=one) for one in prices]
    return Settler(rates, host_currencies={}, provider_currencies={})


def booked(draw, record, *prices):
    pricer = Pricer([PriceBook([tuple(prices)])], host_currencies={})
    return spent(draw, record.attempts, [pricer.price(one, record) for one in record.attempts])


@given(
    card=st.builds(Rates, input=rates, output=rates, cached_input=st.none() | rates, cache_write=st.none() | rates),
    usage=st.builds(
        Usage,
        input_tokens=tokens,
        output_tokens=tokens,
        cached_input_tokens=tokens,
        cache_write_tokens=tokens,
        cache_write_5m_tokens=st.none() | st.integers(0, 9),
        cache_write_1h_tokens=st.none() | st.integers(0, 9),
        reasoning_tokens=tokens,
        audio_input_tokens=st.none() | st.integers(0, 9),
        total_tokens=tokens,
        source=st.sampled_from(["provider", "estimated", "none"]),
        complete=st.booleans(),
    ),
    tier=st.sampled_from(["", "default", "priority"]),
)
def test_integers_and_decimals_agree_to_the_last_digit(card, usage, tier):
    draw = Draw(counter="b", unit="USD", held=7)
    entry = price(card=Card(card))
    record = call(attempt(usage, service_tier=tier))

    assert settler(entry).amounts([draw], record) == [booked(draw, record, entry)]


def test_a_usual_call_is_reckoned_in_integers_and_rounded_up_once():
    flat = FlatRates.of(price(card=Card(Rates(input=Decimal("0.15"), output=Decimal("0.60")))))
    usage = Usage(input_tokens=1, output_tokens=1, source="provider", complete=True)

    assert flat.nano(attempt(usage)) == 150_000_000 + 600_000_000
    usd = Draw(counter="b", unit="USD", held=10**6)
    entry = price(card=Card(Rates(input=Decimal("0.0001"), output=Decimal(0))))
    assert settler(entry).amounts([usd], call(attempt(usage))) == [1]


def test_a_price_with_more_to_it_is_not_flat():
    two = Rates(input=Decimal(1), output=Decimal(2))

    assert FlatRates.of(price(card=Card(two, (Tier(200_000, two),)))) is None
    assert FlatRates.of(price(card=Card(two), per=1000)) is None
    assert FlatRates.of(price(card=Card(Rates(input=Decimal("0.0000000001"), output=Decimal(2))))) is None


@pytest.mark.parametrize(
    ("record", "amount"),
    [
        (call(), 0),
        (call(attempt(Usage(), status=500)), 0),
        (call(attempt(Usage())), 70),
        (call(attempt(Usage(input_tokens=1, output_tokens=1, source="provider"), model="unknown")), 70),
        (call(attempt(Usage(), status=500), attempt(Usage(input_tokens=2, output_tokens=0, source="provider"))), 2000),
        (call(attempt(Usage(), provider_cost=Money(Decimal("0.5"), "USD"))), 500_000_000),
        (call(attempt(Usage(), provider_cost=Money(Decimal("0.5"), "CNY"))), 70),
        (call(attempt(Usage()), billable=False), 0),
    ],
)
def test_what_nobody_knows_spends_what_was_held_and_what_nobody_bills_spends_nothing(record, amount):
    entry = price(card=Card(Rates(input=Decimal(1), output=Decimal(2))))

    assert settler(entry).amounts([Draw(counter="b", unit="USD", held=70)], record) == [amount]


def test_another_currency_counts_at_the_rate_that_the_policy_states():
    record = call(attempt(Usage(), provider_cost=Money(Decimal("0.5"), "CNY")))
    draw = Draw(counter="b", unit="USD", held=70, bill="CNY", exchange=Decimal("0.14"))

    assert settler().amounts([draw], record) == [70_000_000]


@pytest.mark.parametrize(
    ("unit", "amount"),
    [("calls", 1), ("tokens", 30), ("input_tokens", 10), ("output_tokens", 20), ("images", 2_000_000), ("seconds", 1)],
)
def test_every_unit_is_counted_from_the_usage(unit, amount):
    usage = Usage(input_tokens=10, output_tokens=20, units={"images": Decimal(2)}, source="provider")

    assert settler().amounts([Draw(counter="b", unit=unit, held=1)], call(attempt(usage))) == [amount]
