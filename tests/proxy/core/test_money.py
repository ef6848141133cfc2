from decimal import Decimal

import pytest

from proxy.core.money import Money, stated


@pytest.mark.parametrize("text", ["0", "0.0133176", "3.2E-6", "0.1234567890123456789", "999999999999.99"])
def test_an_amount_is_kept_exactly_as_it_was_stated(text):
    assert stated(Decimal(text), "USD").amount.as_tuple() == Decimal(text).as_tuple()


def test_an_amount_has_its_currency():
    assert stated(Decimal("1.5"), "CNY") == Money(Decimal("1.5"), "CNY")


@pytest.mark.parametrize(
    "text", ["NaN", "Infinity", "-0.01", "1e13", "1e999999", "1e-31", "0e-999999", "0." + "1" * 61]
)
def test_what_cannot_be_an_amount_is_none(text):
    assert stated(Decimal(text), "USD") is None


def test_no_amount_is_none():
    assert stated(None, "USD") is None
