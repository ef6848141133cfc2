"""Amounts read exactly, reasons are bounded."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.wording import (
    MAX_REASON_CHARS,
    MAX_REASONS,
    amount_text,
    bounded,
    instant_text,
    number_text,
    rounded_text,
)


@pytest.mark.parametrize(
    ("amount", "unit", "text"),
    [
        (12_300_000, "USD", "0.0123 USD"),
        (5 * 10**9, "USD", "5 USD"),
        (100 * 10**9, "CNY", "100 CNY"),
        (1, "USD", "0.000000001 USD"),
        (-1_500_000_000, "USD", "-1.5 USD"),
        (0, "USD", "0 USD"),
        (1000, "tokens", "1000 tokens"),
        (1_500_000, "audio_seconds", "1.5 audio_seconds"),
    ],
)
def test_an_amount_reads_exactly(amount, unit, text):
    assert amount_text(amount, unit) == text


@given(st.integers(-(2**62), 2**62), st.sampled_from(["USD", "tokens", "images"]))
def test_no_digit_of_an_amount_is_lost(amount, unit):
    scale = {"USD": 9, "tokens": 0, "images": 6}[unit]

    assert Decimal(number_text(amount, unit)) == Decimal(amount).scaleb(-scale)


def test_a_sentence_has_money_to_the_millionth():
    assert rounded_text(1_234_567_891, "USD") == "1.234567 USD"
    assert rounded_text(7, "tokens") == "7 tokens"


def test_an_instant_is_never_said_to_be_earlier_than_it_is():
    assert instant_text(1) == "1970-01-01T00:00:01Z"
    assert instant_text(10**9) == "1970-01-01T00:00:01Z"


def test_reasons_are_cut_and_what_is_left_out_is_counted():
    reasons = bounded(["x" * 1000] * (MAX_REASONS + 5))

    assert len(reasons) == MAX_REASONS
    assert len(reasons[0]) == MAX_REASON_CHARS
    assert reasons[-1] == "reasons_left_out=6"
    assert bounded(["a"] * MAX_REASONS) == ("a",) * MAX_REASONS
