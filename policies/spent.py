"""What a call has used of a counter, once it is over: one rule for the worker that settles and the recorder that books.

Money is what the attempts of the call cost together, rounded up once at the ledger's scale. What nobody knows is never
taken for nothing: an attempt that may have been billed and has no cost spends at least what was held. PURE.
"""

from collections.abc import Callable, Sequence
from decimal import ROUND_CEILING, Context, Decimal

from policies.demand import MAX_AMOUNT, is_currency, scale_of
from proxy.core.pricing import Priced, exact_sum
from proxy.core.record import AttemptRecord, Draw
from proxy.core.usage import Usage
from proxy.prices.pricer import turned_away

_UP = Context(prec=90, rounding=ROUND_CEILING)
_OF_THE_HOLD = frozenset({"hold", "hedge"})
"""Origins of an estimated usage that is the bounds that were held (`proxy.core.presumed`). At the list price they cost
less than what was held where a provider has dearer rates for some of its tokens."""


def spent(draw: Draw, attempts: Sequence[AttemptRecord], prices: Sequence[Priced], *, billable: bool = True) -> int:
    """The amount, in whole numbers of the draw's unit.

    Args:
        draw: What was held.
        attempts: Of the call, all of them.
        prices: What each of them cost.
        billable: Whether the call costs anything at all by the provider's own word.
    """
    if not attempts:
        return 0
    if draw.unit == "calls":
        return draw.held
    if not billable:
        return 0
    if is_currency(draw.unit):
        known, all_known = _money(draw, attempts, prices)
    else:
        known, all_known = _counted(draw.unit, attempts)
    amount = whole(known, draw.unit)
    return amount if all_known else max(amount, draw.held)


def whole(amount: Decimal, unit: str) -> int:
    """An amount in whole numbers of its unit's scale, rounded up."""
    scaled = _UP.scaleb(amount, scale_of(unit))
    return min(MAX_AMOUNT, int(scaled.to_integral_value(context=_UP)))


def _money(draw: Draw, attempts: Sequence[AttemptRecord], prices: Sequence[Priced]) -> tuple[Decimal, bool]:
    """What is known to have been spent, in the draw's currency, and whether that is all."""
    amounts, all_known = [], True
    for attempt, priced in zip(attempts, prices, strict=True):
        all_known &= not _is_presumed(attempt.usage)
        if priced.amount is None:
            all_known &= turned_away(attempt)
        elif priced.currency == draw.unit:
            amounts.append(priced.amount)
        elif priced.currency == draw.bill and draw.exchange is not None:
            amounts.append(_UP.multiply(priced.amount, draw.exchange))
        else:
            all_known &= not priced.amount
    return exact_sum(amounts), all_known


def _counted(unit: str, attempts: Sequence[AttemptRecord]) -> tuple[Decimal, bool]:
    read = _TOKENS.get(unit) or (lambda usage: usage.units.get(unit))
    known, all_known = Decimal(0), True
    for attempt in attempts:
        figure = read(attempt.usage)
        all_known &= not _is_presumed(attempt.usage)
        if figure is None:
            all_known &= turned_away(attempt)
        else:
            known += figure
    return known, all_known


def _is_presumed(usage: Usage) -> bool:
    return usage.source == "estimated" and usage.origin in _OF_THE_HOLD


def _all_tokens(usage: Usage) -> int | None:
    if usage.input_tokens is None or usage.output_tokens is None:
        return usage.total_tokens
    return usage.input_tokens + usage.output_tokens


_TOKENS: dict[str, Callable[[Usage], int | Decimal | None]] = {
    "tokens": _all_tokens,
    "input_tokens": lambda usage: usage.input_tokens,
    "output_tokens": lambda usage: usage.output_tokens,
}
