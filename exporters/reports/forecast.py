"""What a period will have cost at its end, with a range: what is spent, and the days to come as such weekdays were.

A day to come is expected to cost what the same weekday cost on average in the days looked at; a weekday that was seen
once or never costs the average of all days. How far days lay from that says how far off the sum may be: with so many
days to come, each for itself, and the averages themselves known from so many days only. The range is meant to hold in
four of five cases; it knows nothing of a new app or of a holiday. PURE.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal, localcontext

import msgspec

from exporters.reports.report import EXACT_DIGITS

LEAST_DAYS = 3
"""Fewer whole days than that say nothing."""
FOUR_OF_FIVE = Decimal("1.2816")
"""Standard deviations on either side that hold four fifths of a normal distribution."""
_STEP = Decimal("0.000001")


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """Money at the end of the period, to six decimals."""

    low: Decimal
    expected: Decimal
    high: Decimal


def forecast(
    spent: Decimal, history: Mapping[date, Decimal], to_come: Sequence[tuple[date, Decimal]]
) -> Forecast | None:
    """The cost at the end; None where too little is known.

    Args:
        spent: So far in the period.
        history: Whole days and what each cost, those without any call as 0; of one currency and kind of billing.
        to_come: The days up to the end, each with the part of it that is left, more than 0 and at most 1.
    """
    if not to_come:
        return Forecast(low=spent, expected=spent, high=spent)
    if len(history) < LEAST_DAYS:
        return None
    with localcontext(prec=EXACT_DIGITS):
        usual = _by_weekday(history)
        rest = sum((usual[day.weekday()] * part for day, part in to_come), Decimal(0))
        left = sum((part for _, part in to_come), Decimal(0))
        variance = sum(((cost - usual[day.weekday()]) ** 2 for day, cost in history.items()), Decimal(0))
        variance /= len(history) - 1
        # Each day to come strays by itself; all of them stray together with the averages.
        spread = FOUR_OF_FIVE * (variance * (left + left * left / len(history))).sqrt()
        expected = (spent + rest).quantize(_STEP)
        return Forecast(
            low=max(spent, spent + rest - spread).quantize(_STEP),
            expected=expected,
            high=max(expected, (spent + rest + spread).quantize(_STEP)),
        )


def _by_weekday(history: Mapping[date, Decimal]) -> list[Decimal]:
    """The average of each weekday, Monday first."""
    overall = sum(history.values(), Decimal(0)) / len(history)
    averages = []
    for weekday in range(7):
        seen = [cost for day, cost in history.items() if day.weekday() == weekday]
        averages.append(sum(seen, Decimal(0)) / len(seen) if len(seen) > 1 else overall)
    return averages
