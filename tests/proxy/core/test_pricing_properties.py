"""Rules of the arithmetic that hold for every usage and every price."""

import decimal
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from proxy.core.price import RATE_NAMES, Card, Price, Rates, UnitRate
from proxy.core.pricing import AMOUNT_DECIMALS, REASONS, Priced, exact_sum, price_usage
from proxy.core.usage import Usage

D = Decimal
IMAGES = {"images": UnitRate(D("0.0035"))}


def cost(usage: Usage, rates: Rates) -> Priced:
    price = Price(id="list/model", origin="book", currency="USD", card=Card(rates), units=IMAGES)
    return price_usage(usage, price, at_ns=0)


def used(**figures) -> Usage:
    return Usage(source="provider", complete=True, **figures)


TOKENS = st.integers(0, 10**7)
RATE = st.decimals(0, 1000, places=8)
SOME_RATES = st.builds(Rates, **{name: st.none() | RATE for name in RATE_NAMES} | {"input": RATE, "output": RATE})
ANY_FIGURE = st.none() | st.integers(-5, 10**13)
ANY_USAGE = st.builds(
    Usage,
    **{name: ANY_FIGURE for name in Usage.__struct_fields__ if name.endswith("_tokens")},
    units=st.dictionaries(st.sampled_from(["images", "characters"]), st.decimals(), max_size=2),
    source=st.sampled_from(["provider", "computed", "estimated", "none"]),
    complete=st.booleans(),
)


@given(ANY_USAGE, SOME_RATES)
def test_any_report_is_priced_flagged_or_unknown_but_never_negative(usage, some):
    priced = cost(usage, some)

    assert priced.amount is None or priced.amount >= 0
    assert (priced.amount is None) <= bool(priced.reasons)
    assert priced.estimated <= bool(priced.reasons)
    assert priced.lower_bound <= priced.estimated
    assert {reason.partition(":")[0] for reason in priced.reasons} <= set(REASONS)


@given(ANY_USAGE, SOME_RATES)
def test_lines_add_up_to_the_amount(usage, some):
    priced = cost(usage, some)

    total = exact_sum(line.amount for line in priced.lines)
    assert priced.amount in {None, total}
    assert all(line.amount >= 0 for line in priced.lines)


@given(SOME_RATES, TOKENS, TOKENS, TOKENS, TOKENS, st.integers(1, 1000))
def test_the_cost_is_linear_in_the_tokens(some, fresh, cached, write, output, times):
    def usage(factor: int) -> Usage:
        return used(
            input_tokens=(fresh + cached + write) * factor,
            cached_input_tokens=cached * factor,
            cache_write_tokens=write * factor,
            output_tokens=output * factor,
        )

    once, many = cost(usage(1), some), cost(usage(times), some)

    assert many.amount == exact_sum([once.amount] * times)


@given(SOME_RATES, TOKENS, TOKENS)
def test_token_lines_are_never_rounded(some, tokens, output):
    priced = cost(used(input_tokens=tokens, output_tokens=output), some)

    with decimal.localcontext(decimal.Context(prec=60, traps=[decimal.Inexact])):
        assert priced.amount == (some.input * tokens + some.output * output) / 1_000_000
    assert -priced.amount.as_tuple().exponent <= AMOUNT_DECIMALS


@given(TOKENS, TOKENS)
def test_a_lower_bound_is_one(prompt, completion):
    rates = Rates(input=D("0.30"), output=D("1.20"))

    bound = cost(used(total_tokens=prompt + completion), rates)

    assert bound.amount <= cost(used(input_tokens=prompt, output_tokens=completion), rates).amount
