"""Amounts are whole numbers of a unit's scale."""

import pytest

from policies.demand import is_currency, scale_of


@pytest.mark.parametrize(
    ("unit", "scale"),
    [("USD", 9), ("CNY", 9), ("tokens", 0), ("calls", 0), ("concurrent", 0), ("audio_seconds", 6), ("images", 6)],
)
def test_money_is_counted_in_billionths_tokens_and_calls_whole_the_rest_in_millionths(unit, scale):
    assert scale_of(unit) == scale


@pytest.mark.parametrize("unit", ["usd", "Usd", "USDT", "US", "U$D", "ÄÖÜ", "images", ""])
def test_only_three_capital_letters_are_a_currency(unit):
    assert not is_currency(unit)
