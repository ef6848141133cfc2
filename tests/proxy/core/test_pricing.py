import decimal
from decimal import Decimal

import pytest

from proxy.core.money import Money
from proxy.core.price import Card, Price, Rates, Tier, UnitRate, Window
from proxy.core.pricing import Priced, exact_sum, price_usage, unit_amount, unpriced
from proxy.core.usage import NO_USAGE, Usage

D = Decimal
AT_NS = 1_795_000_000 * 10**9


def rates(**figures: str) -> Rates:
    return Rates(**{name: D(figure) for name, figure in figures.items()})


def price(card: Card | None = None, **more) -> Price:
    more = {"id": "list/model", "origin": "book", "currency": "USD"} | more
    return Price(card=card or Card(rates(input="0.30", cached_input="0.06", output="1.20")), **more)


def used(**figures) -> Usage:
    return Usage(**({"source": "provider", "complete": True} | figures))


def cost(usage: Usage, of: Price | None = None, **more) -> Priced:
    return price_usage(usage, of or price(), at_ns=AT_NS, **more)


FULL = Card(
    rates(
        input="3",
        cached_input="0.3",
        cache_write="3.75",
        cache_write_1h="6",
        output="15",
        audio_input="32",
        audio_output="64",
        cached_audio_input="0.4",
    )
)


def test_cached_and_written_tokens_are_taken_out_of_the_input():
    usage = used(
        input_tokens=4521,
        cached_input_tokens=1500,
        cache_write_tokens=3000,
        cache_write_5m_tokens=1000,
        cache_write_1h_tokens=2000,
        output_tokens=12,
    )

    priced = cost(usage, price(FULL))

    assert priced.amount == D("0.016443")
    assert {line.part: line.quantity for line in priced.lines} == {
        "input": 21,
        "cached_input": 1500,
        "cache_write": 1000,
        "cache_write_1h": 2000,
        "output": 12,
    }
    assert not priced.estimated
    assert priced.reasons == ()


def test_the_arithmetic_is_written_down():
    priced = cost(used(input_tokens=1263, output_tokens=0))

    assert [line.formula for line in priced.lines] == ["input: 1,263 x 0.30 / 1,000,000 = 0.0003789"]
    assert priced.lines[0].price_id == "list/model"


def test_where_the_cost_comes_from_is_said():
    priced = cost(used(input_tokens=1, output_tokens=1), price(origin="library"))

    assert (priced.cost_source, priced.price_id, priced.currency) == ("library", "list/model", "USD")
    assert priced.list_cost == Money(D("0.0000015"), "USD")


@pytest.mark.parametrize(
    ("figures", "amount"),
    [
        ({"input_tokens": 100, "cached_input_tokens": 40}, "0.00003"),
        ({"input_tokens": 100, "cache_write_tokens": 40}, "0.00003"),
        ({"input_tokens": 100, "cache_write_1h_tokens": 40}, "0.00003"),
    ],
)
def test_a_missing_cache_rate_is_the_input_rate(figures, amount):
    priced = cost(used(output_tokens=0, **figures), price(Card(rates(input="0.30", output="1"))))

    assert priced.amount == D(amount)
    assert not priced.estimated


def test_an_hours_write_at_the_five_minute_rate_is_a_lower_bound():
    card = Card(rates(input="1", cache_write="1.25", output="1"))

    priced = cost(used(input_tokens=100, cache_write_1h_tokens=100, output_tokens=0), price(card))

    assert priced.amount == D("0.000125")
    assert priced.lower_bound
    assert priced.reasons == ("no_write_1h_rate",)


def test_a_kind_of_usage_without_a_rate_makes_the_cost_unknown_and_never_0():
    priced = cost(used(input_tokens=10, output_tokens=1, units={"web_search_requests": D(2)}))

    assert priced.amount is None
    assert priced.list_cost is None
    assert priced.cost_source == "none"
    assert priced.reasons == ("no_rate:web_search_requests",)
    assert [line.part for line in priced.lines] == ["input", "output"]


def test_output_tokens_without_an_output_rate_make_the_cost_unknown():
    priced = cost(used(input_tokens=10, output_tokens=1), price(Card(rates(input="1"))))

    assert priced.amount is None
    assert priced.reasons == ("no_rate:output",)


def test_units_that_were_not_used_need_no_rate():
    assert cost(used(input_tokens=10, output_tokens=0, units={"images": D(0)})).amount == D("0.000003")


def test_units_that_are_included_cost_nothing():
    speech = price(Card(), units={"characters": UnitRate(D(100), 1_000_000)}, included=("audio_seconds",))

    priced = cost(used(units={"characters": D(12), "audio_seconds": D("1.236")}), speech)

    assert priced.amount == D("0.0012")
    assert not priced.estimated


def test_the_first_units_may_be_free():
    video = price(Card(), units={"input_images": UnitRate(D("0.04"), 1, D(5))})

    assert cost(used(units={"input_images": D(3)}), video).amount == 0
    priced = cost(used(units={"input_images": D(7)}), video)
    assert priced.amount == D("0.08")
    assert priced.lines[0].formula == "input_images: (7 - 5 free) x 0.04 = 0.08"


def test_a_price_by_request_counts_the_attempt_itself():
    tool = price(Card(), units={"requests": UnitRate(D("0.01"))})

    assert cost(NO_USAGE, tool).amount == D("0.01")
    assert cost(used(units={"requests": D(3)}), tool).amount == D("0.03")


def test_nothing_reported_is_no_cost_rather_than_0():
    priced = cost(NO_USAGE)

    assert priced.amount is None
    assert priced.reasons == ("no_usage",)


def test_reported_zeros_cost_0():
    priced = cost(used(input_tokens=0, output_tokens=0))

    assert priced.amount == 0
    assert priced.list_cost == Money(D(0), "USD")


def test_a_total_without_its_parts_is_a_lower_bound_at_the_cheapest_rate():
    priced = cost(used(total_tokens=73, complete=False), price(Card(rates(input="0.30", output="1.20"))))

    assert priced.amount == D("0.0000219")
    assert priced.estimated
    assert priced.lower_bound
    assert priced.reasons[0] == "total_only"


def test_a_total_is_exact_where_only_input_is_billed():
    priced = cost(used(total_tokens=11), price(Card(rates(input="0.02"))))

    assert priced.amount == D("0.00000022")
    assert not priced.estimated


@pytest.mark.parametrize(
    ("figures", "reason"),
    [
        ({"input_tokens": 10, "output_tokens": 1, "complete": False}, "incomplete"),
        ({"input_tokens": 10}, "output_unreported"),
        ({"output_tokens": 10}, "input_unreported"),
        ({"units": {"web_search_requests": D(1)}}, "tokens_unreported"),
    ],
)
def test_missing_and_provisional_figures_make_a_lower_bound(figures, reason):
    priced = cost(used(**figures), price(units={"web_search_requests": UnitRate(D("0.01"))}))

    assert priced.amount is not None
    assert priced.lower_bound
    assert priced.reasons == (reason,)


def test_input_alone_is_complete_where_output_costs_nothing():
    assert not cost(used(input_tokens=4), price(Card(rates(input="0.02")))).estimated


@pytest.mark.parametrize(
    ("figures", "reason"),
    [
        ({"input_tokens": 10, "cached_input_tokens": 11}, "cached_exceeds_input"),
        ({"input_tokens": 10, "cached_input_tokens": 6, "cache_write_tokens": 5}, "cached_exceeds_input"),
        ({"input_tokens": 10, "cache_write_tokens": 2, "cache_write_1h_tokens": 3}, "write_1h_exceeds_write"),
        ({"input_tokens": 10, "audio_input_tokens": 11}, "audio_exceeds_tokens"),
    ],
)
def test_figures_that_contradict_each_other_are_an_estimate(figures, reason):
    priced = cost(used(output_tokens=1, **figures), price(FULL))

    assert priced.amount is not None
    assert priced.estimated
    assert reason in priced.reasons


def test_more_reasoning_than_output_matters_only_where_reasoning_has_its_own_rate():
    usage = used(input_tokens=43, output_tokens=10, reasoning_tokens=11)

    assert not cost(usage).estimated
    own = cost(usage, price(Card(rates(input="2", output="8", reasoning="3"))))
    assert own.amount == D("0.000116")
    assert own.reasons == ("reasoning_exceeds_output",)


def test_reasoning_is_output_unless_it_has_its_own_rate():
    usage = used(input_tokens=0, output_tokens=100, reasoning_tokens=60)

    assert cost(usage).amount == D("0.00012")
    assert cost(usage, price(Card(rates(input="2", output="8", reasoning="3")))).amount == D("0.0005")


def test_audio_tokens_cost_their_own_rate():
    priced = cost(used(input_tokens=16, audio_input_tokens=6, output_tokens=24, audio_output_tokens=15), price(FULL))

    assert {line.part: line.quantity for line in priced.lines} == {
        "input": 10,
        "audio_input": 6,
        "output": 9,
        "audio_output": 15,
    }
    assert priced.amount == D("0.001317")


def test_audio_at_the_text_rate_is_a_lower_bound():
    priced = cost(used(input_tokens=16, audio_input_tokens=6, output_tokens=0))

    assert priced.amount == D("0.0000048")
    assert priced.lower_bound
    assert priced.reasons == ("no_audio_rate",)


def test_cached_tokens_are_text_first_when_nobody_says_what_they_are():
    usage = used(input_tokens=100, audio_input_tokens=60, cached_input_tokens=70, output_tokens=0)

    priced = cost(usage, price(FULL))

    assert {line.part: line.quantity for line in priced.lines} == {
        "audio_input": 30,
        "cached_input": 40,
        "cached_audio_input": 30,
    }
    assert "cached_audio_unknown" in priced.reasons


@pytest.mark.parametrize(
    "figures",
    [
        {"input_tokens": -1, "output_tokens": 1},
        {"input_tokens": 1, "output_tokens": 10**40},
        {"input_tokens": 1, "output_tokens": 1, "units": {"images": D("NaN")}},
        {"input_tokens": 1, "output_tokens": 1, "units": {"images": D("sNaN")}},
        {"input_tokens": 1, "output_tokens": 1, "units": {"images": D("Infinity")}},
        {"input_tokens": 1, "output_tokens": 1, "units": {"images": D("-1")}},
        {"input_tokens": 1, "output_tokens": 1, "units": {"images": D("1e999999")}},
        {"input_tokens": 1, "output_tokens": 1, "units": {"images": D("1e-999999")}},
    ],
)
def test_figures_that_cannot_be_true_are_never_money(figures):
    priced = cost(used(**figures), price(units={"images": UnitRate(D(1))}))

    assert priced.amount is None
    assert priced.reasons[0].startswith("implausible:")


M3 = Card(
    rates(input="0.30", cached_input="0.06", output="1.20"),
    (Tier(512_000, rates(input="0.60", cached_input="0.12", output="2.40")),),
)


@pytest.mark.parametrize(
    ("tokens", "cached", "amount"),
    [
        (512_000, 0, "0.1536"),
        (512_001, 0, "0.3072006"),
        (512_000, 512_000, "0.03072"),
        (512_001, 512_001, "0.06144012"),  # cached tokens count towards the boundary
    ],
)
def test_a_long_prompt_reprices_every_token(tokens, cached, amount):
    priced = cost(used(input_tokens=tokens, cached_input_tokens=cached, output_tokens=0), price(M3))

    assert priced.amount == D(amount)


def test_a_long_prompt_reprices_the_output_too():
    assert cost(used(input_tokens=512_001, output_tokens=1000), price(M3)).amount == D("0.3096006")


@pytest.mark.parametrize("tier", ["", "standard", "default", "auto", "on_demand", "Standard"])
def test_standard_tiers_cost_the_standard_rates(tier):
    priced = cost(used(input_tokens=10, output_tokens=0), service_tier=tier)

    assert priced.amount == D("0.000003")
    assert not priced.estimated


def test_the_tier_of_the_reply_decides():
    priority = price(service_tiers={"priority": Card(rates(input="0.45", output="1.80"))})

    assert cost(used(input_tokens=10, output_tokens=0), priority, service_tier="PRIORITY").amount == D("0.0000045")


def test_a_tier_without_rates_is_an_estimate_at_standard_rates():
    priced = cost(used(input_tokens=10, output_tokens=0), service_tier="flex")

    assert priced.amount == D("0.000003")
    assert priced.estimated
    assert not priced.lower_bound
    assert priced.reasons == ("service_tier:flex",)


def test_hours_of_the_week_have_their_own_rates():
    always = Window(
        utc_offset_min=0, weekdays=(0, 1, 2, 3, 4, 5, 6), from_min=0, until_min=1440, card=Card(rates(input="2"))
    )
    never = Window(utc_offset_min=0, weekdays=(), from_min=0, until_min=1440, card=Card(rates(input="9")))

    peak = price(Card(rates(input="1")), windows=(never, always), estimate="holidays are not known")

    priced = cost(used(input_tokens=10, output_tokens=0), peak)
    assert priced.amount == D("0.00002")
    assert priced.estimated
    assert priced.reasons == ("price_estimated",)


def test_an_estimated_usage_makes_an_estimated_cost():
    priced = cost(used(input_tokens=10, output_tokens=1, source="estimated", complete=False))

    assert priced.reasons == ("usage_estimated",)
    assert not priced.lower_bound


def test_an_unpriced_cost_says_why():
    assert unpriced("CNY", "no_price") == Priced(amount=None, currency="CNY", reasons=("no_price",))


def test_divisions_that_do_not_end_are_rounded_at_the_18th_decimal_half_to_even():
    assert unit_amount(D("7.086"), D("0.38"), 3600) == D("0.000747966666666667")
    assert unit_amount(D("1e-18"), D("0.5"), 1) == 0
    assert unit_amount(D("3e-18"), D("0.5"), 1) == D("2e-18")


def test_the_callers_decimal_context_changes_nothing():
    usage = used(input_tokens=123_456_789, output_tokens=987_654_321, units={"images": D("12345.678")})
    images = price(FULL, units={"images": UnitRate(D("0.123456789012"))})
    expected = cost(usage, images).amount

    with decimal.localcontext(decimal.Context(prec=3, rounding=decimal.ROUND_UP)):
        assert cost(usage, images).amount == expected
        assert exact_sum([D("1.2345"), D("0.00001")]) == D("1.23451")
