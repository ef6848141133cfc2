"""Amounts of money: exact, and never without their currency."""

from decimal import Decimal

import msgspec

_LARGEST_EXPONENT = 12
_SMALLEST_EXPONENT = -30
_MOST_DIGITS = 60


class Money(msgspec.Struct, frozen=True):
    """An exact amount in one currency (ISO 4217). Amounts of two currencies are never added."""

    amount: Decimal
    currency: str


def stated(amount: Decimal | None, currency: str) -> Money | None:
    """An amount that somebody else wrote down, exactly as written; None when it cannot be an amount of money."""
    if amount is None or not amount.is_finite() or amount < 0:
        return None
    if not _SMALLEST_EXPONENT <= amount.adjusted() <= _LARGEST_EXPONENT or len(amount.as_tuple().digits) > _MOST_DIGITS:
        return None
    return Money(amount, currency)
