"""Amounts of money: exact, and never without their currency."""

from decimal import Decimal

import msgspec


class Money(msgspec.Struct, frozen=True):
    """An exact amount in one currency (ISO 4217). Amounts of two currencies are never added."""

    amount: Decimal
    currency: str
