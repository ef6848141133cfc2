"""A bound is never less than what a call can use."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.bounds import IMAGE_TOKENS, exchanged, money_bound, rounded_up, scaled, token_bound, unit_bound
from policies.compiled import ModelRate
from policies.facts import CallFacts, Inputs
from proxy.core.facts import RequestFacts
from proxy.core.record import Caller

RATE = ModelRate(id="x", provider="p", models=("m",), currency="USD", input_nano=300_000_000, output_nano=1_200_000_000)
CONTEXT = ModelRate(id="x", provider="p", models=("m",), currency="USD", context_tokens=200_000)


def call(inputs=None, *, operation="chat", dialect="openai.chat", body_bytes=None, **request):
    return CallFacts(
        provider="p",
        operation=operation,
        dialect=dialect,
        request=RequestFacts(**request),
        caller=Caller(),
        inputs=inputs,
        body_bytes=body_bytes,
    )


TEXT = Inputs(text_bytes=1000)


@pytest.mark.parametrize(
    ("a_call", "rate", "expected", "how"),
    [
        # 1000 bytes and 1024 tokens of frame, in whole thousands
        (call(TEXT), None, 3000, "bytes"),
        (call(TEXT), CONTEXT, 3000, "bytes"),
        (call(Inputs(text_bytes=976)), None, 2000, "bytes"),
        (call(Inputs(text_bytes=10**9)), CONTEXT, 200_000, "context"),
        (call(Inputs(text_bytes=0, image_bytes=(9, 9))), None, 2000 + 2 * IMAGE_TOKENS, "bytes+images"),
        (
            call(Inputs(text_bytes=0, image_bytes=(9,)), dialect="anthropic.messages"),
            None,
            2000 + 5_000,
            "bytes+images",
        ),
        (call(Inputs(text_bytes=9, references="url")), None, None, "unseen:url"),
        (call(Inputs(text_bytes=9, references="url")), CONTEXT, 200_000, "context:url"),
        (call(Inputs(text_bytes=9, server_tools="web_search")), CONTEXT, None, "tool:web_search"),
        (call(TEXT, unread="not_json"), None, None, "unseen:not_json"),
        (call(None), None, None, "unread"),
        (call(None), CONTEXT, 200_000, "context"),
        (call(None, operation="embeddings", body_bytes=77), None, 1000, "bytes"),
    ],
)
def test_the_input_is_bounded_by_what_the_body_holds_or_the_context(a_call, rate, expected, how):
    tokens = token_bound(a_call, rate)

    assert (tokens.input, tokens.how.split()[0]) == (expected, f"input={how}")


@pytest.mark.parametrize(
    ("a_call", "rate", "assumed", "expected", "how"),
    [
        (call(TEXT, max_output_tokens=50), None, None, 50, "max_tokens"),
        (call(TEXT, max_output_tokens=50, choices=3), None, 7, 150, "max_tokens*3"),
        (call(Inputs(text_bytes=1, best_of=5), max_output_tokens=10, choices=2), None, None, 50, "max_tokens*5"),
        (call(TEXT), ModelRate(id="", provider="p", models=(), currency="USD", max_output_tokens=9), 4, 9, "model"),
        (call(TEXT), CONTEXT, 4096, 4096, "assumed"),
        (call(TEXT), CONTEXT, None, 200_000, "context"),
        (call(TEXT), None, None, None, "none_stated"),
        (call(TEXT, max_output_tokens=-5), None, None, None, "none_stated"),
        (call(TEXT, operation="embeddings"), None, None, 0, "none"),
    ],
)
def test_the_output_is_bounded_by_the_request_the_model_the_rule_or_the_context(a_call, rate, assumed, expected, how):
    tokens = token_bound(a_call, rate, assumed)

    assert (tokens.output, tokens.how.split()[1]) == (expected, f"output={how}")


def test_money_is_tokens_at_the_dearest_rates_rounded_up():
    a_call = call(Inputs(text_bytes=10), max_output_tokens=7)
    tokens = token_bound(a_call, RATE)

    # 2000 x 0.30 + 7 x 1.20 USD a million
    assert money_bound(a_call, tokens, RATE) == 2000 * 300 + 7 * 1200
    odd = ModelRate(id="x", provider="p", models=("m",), currency="USD", output_nano=1)
    assert money_bound(a_call, tokens, odd) == 1


def test_money_has_no_bound_where_tokens_that_cost_something_have_none():
    a_call = call(TEXT)

    assert money_bound(a_call, token_bound(a_call, RATE), RATE) is None
    free_output = ModelRate(id="x", provider="p", models=("m",), currency="USD", input_nano=10**6)
    assert money_bound(a_call, token_bound(a_call, free_output), free_output) == 3000


def test_units_cost_what_the_request_asks_for():
    rate = ModelRate(id="x", provider="p", models=("m",), currency="USD", units_nano={"images": 3_500_000 * 10**6})
    images = call(Inputs(text_bytes=10, units={"images": Decimal(4)}), operation="images")

    assert money_bound(images, token_bound(images, rate), rate) == 4 * 3_500_000
    assert money_bound(call(TEXT), token_bound(call(TEXT), rate), rate) is None


@pytest.mark.parametrize(
    ("unit", "expected"),
    [("calls", 1), ("concurrent", 1), ("input_tokens", 2000), ("output_tokens", 7), ("tokens", 2007), ("images", 0)],
)
def test_each_unit_has_its_bound(unit, expected):
    a_call = call(Inputs(text_bytes=10), max_output_tokens=7)

    assert unit_bound(a_call, token_bound(a_call, None), unit) == expected


def test_units_that_nobody_can_foresee_have_no_bound():
    searching = call(Inputs(text_bytes=10, server_tools="web_search"))

    assert unit_bound(searching, token_bound(searching, None), "web_search_requests") is None
    assert unit_bound(call(None), token_bound(call(None), None), "images") is None
    assert unit_bound(call(None), token_bound(call(None), None), "tokens") is None


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_a_bound_is_rounded_up_by_a_thousand_or_an_eighth_at_the_most(tokens, more):
    rounded = rounded_up(tokens)

    assert 0 <= rounded - tokens < max(1000, tokens / 8 + 1)
    assert rounded_up(tokens + more) >= rounded


@given(st.decimals(0, 10**6, places=18), st.integers(0, 9))
def test_amounts_are_rounded_up_and_by_less_than_one(amount, scale):
    whole = scaled(amount, scale)

    assert 0 <= Decimal(whole) - amount.scaleb(scale) < 1


@given(st.integers(0, 2**62), st.decimals("0.000001", 10**4, places=6))
def test_an_exchange_is_rounded_up_and_by_less_than_one(nano, rate):
    assert 0 <= Decimal(exchanged(nano, rate)) - nano * rate < 1
