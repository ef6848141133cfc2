"""A hold is made of the dearest that a model can cost."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from policies.ratebook import RateBook
from policies.rates import Home, nano_per_million, rates_of
from proxy.core.price import Card, Price, Rates, Tier, UnitRate, Window
from proxy.core.pricing import price_usage
from proxy.core.usage import Usage

HOME = Home(provider="mine", kind="openai", host="api.openai.com", currency="USD")
DAY_NS = 86_400 * 10**9


def rates(**more):
    return Rates(**{name: Decimal(value) for name, value in more.items()})


def price(number="x", match=("gpt-5",), **more):
    return Price(**{"id": number, "origin": "book", "currency": "USD", "kinds": ("openai",), "match": match} | more)


def ids(*layers, model="gpt-5", now_ns=10**18, home=HOME):
    found = RateBook(rates_of(home, layers, now_ns)).find("mine", model, "chat", now_ns)
    return found and found.id


def test_the_dearest_rate_of_each_kind_counts():
    card = Card(rates(input="1", cache_write="1.25", cached_input="0.1", output="2", reasoning="3"), ())
    (rate,) = rates_of(HOME, [[price(card=card)]])

    assert (rate.input_nano, rate.output_nano) == (1_250_000_000, 3_000_000_000)


def test_long_prompts_service_tiers_and_peak_hours_count():
    peak = Window(utc_offset_min=0, weekdays=(0,), from_min=0, until_min=60, card=Card(rates(output="9")))
    (rate,) = rates_of(
        HOME,
        [
            [
                price(
                    card=Card(rates(input="1", output="2"), (Tier(200_000, rates(input="4", output="5")),)),
                    service_tiers={"priority": Card(rates(input="3", output="7"))},
                    windows=(peak,),
                )
            ]
        ],
    )

    assert (rate.input_nano, rate.output_nano) == (4 * 10**9, 9 * 10**9)


def test_units_and_requests_cost_what_they_cost():
    units = {
        "images": UnitRate(Decimal("0.0035")),
        "requests": UnitRate(Decimal(10), 1000),
        "free": UnitRate(Decimal(1)),
    }
    (rate,) = rates_of(HOME, [[price(units=units, included=("free",), context_tokens=7, max_output_tokens=5)]])

    assert rate.units_nano == {"images": 3_500_000 * 10**6}
    assert rate.call_nano == 10**7 * 10**6
    assert (rate.context_tokens, rate.max_output_tokens) == (7, 5)


def test_the_order_is_that_of_the_price_book():
    narrow, wide = price("narrow"), price("wide", match=("gpt-*",))
    elsewhere = price("elsewhere", hosts=("other.example",), other_hosts=True)
    here = price("here", hosts=("api.openai.com",), match=("*",))

    assert ids([wide, narrow]) == "narrow"
    assert ids([wide], [narrow]) == "wide"
    assert ids([wide, narrow, here]) == "here"
    assert ids([elsewhere]) == "elsewhere"
    assert ids([elsewhere], [wide]) == "wide"
    assert ids([price("o", hosts=("other.example",))]) is None


def test_entries_of_other_kinds_and_currencies_do_not_count():
    assert ids([price(kinds=("azure",)), price(currency="CNY")]) is None


def test_the_newest_entry_in_effect_counts_and_old_ones_are_left_out():
    old, new = price("old", effective_until_ns=10**18), price("new", effective_from_ns=10**18)

    assert ids([old, new], now_ns=10**18) == "new"
    assert ids([old, new], now_ns=10**18 - 1) == "old"
    assert len(rates_of(HOME, [[old, new]], 10**18 + 2 * DAY_NS)) == 1


@given(st.decimals(0, 10**6, places=14), st.sampled_from([1, 1000, 10**6]))
def test_a_rate_is_rounded_up_and_by_less_than_one(rate, per):
    exact = rate * 10**15 / per

    assert 0 <= nano_per_million(rate, per) - exact < 1


RATE = st.decimals("0.01", 100, places=2)
COUNT = st.integers(0, 300_000)


@given(
    st.builds(Rates, input=RATE, cached_input=RATE, cache_write=RATE, output=RATE, reasoning=RATE),
    st.builds(Rates, input=RATE, cached_input=RATE, cache_write=RATE, output=RATE, reasoning=RATE),
    COUNT,
    COUNT,
    COUNT,
    COUNT,
)
def test_no_call_costs_more_than_its_hold(base, tier, fresh, cached, written, output):
    entry = price(card=Card(base, (Tier(200_000, tier),)))
    (rate,) = rates_of(HOME, [[entry]])
    usage = Usage(
        input_tokens=fresh + cached + written,
        cached_input_tokens=cached,
        cache_write_tokens=written,
        output_tokens=output,
        reasoning_tokens=output // 2,
        source="provider",
        complete=True,
    )
    cost = price_usage(usage, entry, at_ns=0).amount

    held = (fresh + cached + written) * rate.input_nano + output * rate.output_nano
    assert cost * 10**15 <= held
