"""Usage x price = cost, exactly, with the arithmetic written down line by line.

Money is Decimal and never a float. A line is quantity x rate / per. Lines of tokens are exact; a line of other units
that would have more than 18 decimals (an hour's price for some seconds) is rounded there, half to even. The amount is
the sum of its lines, so it is never rounded again.

What stands in where a price or a report is silent:
- input less cached less written tokens cost the input rate; a missing cached or write rate is the input rate;
- a kind of usage that the price does not know makes the amount None, with a reason, and never 0;
- figures that are missing or provisional make a lower bound, flagged; figures that contradict each other an estimate;
- the parts of an answer by further models are priced by their own model and added, if all are in one currency.

Source: the price fact sheet, sections 1 (cliff tiers, cache semantics) and 5 (unknown is null).
"""

from collections.abc import Callable, Iterable
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Literal

import msgspec

from proxy.core.money import Money
from proxy.core.price import Card, Price, Rates
from proxy.core.usage import Usage

CostSource = Literal["provider", "book", "library", "none"]
Billing = Literal["metered", "subscription", "free", "byok"]
FindPart = Callable[[str], Price | None]
"""Finds the price of a further model of the same answer."""

AMOUNT_DECIMALS = 18
MAX_QUANTITY = 10**11
"""Nothing that one call uses is counted in more than a hundred billion: larger figures are nonsense, not money."""
STANDARD_TIERS = frozenset({"", "standard", "default", "auto", "on_demand"})
"""Service tiers, as replies name them, that cost the standard rates."""

REASONS = {
    "no_price": "no price list knows the model",
    "no_usage": "the provider reported no usage",
    "no_rate": "the price does not know this kind of usage",
    "implausible": "a reported figure cannot be true",
    "mixed_currencies": "the parts of the answer are billed in several currencies",
    "total_only": "only a total was reported: all of it at the cheapest rate",
    "incomplete": "the report is provisional or was cut off",
    "input_unreported": "no input tokens were reported",
    "output_unreported": "no output tokens were reported",
    "tokens_unreported": "no tokens were reported, though the model bills them",
    "usage_estimated": "the usage itself is an estimate",
    "held": "the call was interrupted: this is what was reserved for it",
    "price_estimated": "the price may differ from the bill",
    "service_tier": "the price has no rates for this service tier: standard rates",
    "cached_exceeds_input": "more input was cached and written than there was",
    "write_1h_exceeds_write": "more was written for an hour than was written at all",
    "reasoning_exceeds_output": "more reasoning than output was reported",
    "audio_exceeds_tokens": "more audio tokens than tokens were reported",
    "no_write_1h_rate": "the price has no rate for writes of an hour: five-minute rate",
    "no_audio_rate": "the price has no rate for audio tokens: text rate",
    "cached_audio_unknown": "whether the cached tokens are text or audio was not reported: text first",
}
"""Every reason of a flag or of a missing amount, in words for a page; what follows a colon names the case."""

_EXACT = Context(prec=90, rounding=ROUND_HALF_EVEN)
_QUANTUM = Decimal(1).scaleb(-AMOUNT_DECIMALS)
_ZERO = Decimal(0)
_REASON_CHARS = 60
_UNIT_DECIMALS = 30


class Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One step of the arithmetic: quantity x rate / per = amount."""

    part: str
    """A token kind of `Rates`, or the name of a unit."""
    quantity: Decimal
    rate: Decimal
    per: int
    amount: Decimal
    price_id: str
    free: Decimal = _ZERO
    """How much of the quantity cost nothing and is not in the product."""

    @property
    def formula(self) -> str:
        """`input: 1,263 x 0.30 / 1,000,000 = 0.0003789`."""
        quantity = f"({self.quantity:,f} - {self.free:,f} free)" if self.free else f"{self.quantity:,f}"
        per = f" / {self.per:,}" if self.per != 1 else ""
        return f"{self.part}: {quantity} x {self.rate:f}{per} = {self.amount:f}"


class Priced(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What something cost, and how anybody can know."""

    amount: Decimal | None
    """None when the cost is not known; never 0 for that."""
    currency: str
    """ISO 4217; of the amount, or of the bill where the amount is not known."""
    cost_source: CostSource = "none"
    """Where the amount comes from; `none` where no money was stated and no price was used."""
    price_id: str = ""
    """The entry behind `list_cost`; empty where none was found."""
    lines: tuple[Line, ...] = ()
    """The arithmetic behind `list_cost`; what could be priced, even where the amount could not be known."""
    estimated: bool = False
    lower_bound: bool = False
    """The true cost is this or more. Always estimated too."""
    reasons: tuple[str, ...] = ()
    """Why it is flagged or not known: keys of `REASONS`, some with `:` and the case."""
    list_cost: Money | None = None
    """What the list price makes of the usage, whoever stated the amount."""
    provider_cost: Money | None = None
    """What the provider stated."""
    billing: Billing = "metered"


def price_usage(
    usage: Usage, price: Price, *, at_ns: int, service_tier: str = "", find_part: FindPart | None = None
) -> Priced:
    """Price what one attempt used.

    Args:
        usage: As the provider reported it; its `parts` come on top of its own figures.
        price: The entry of the answering model.
        at_ns: Start of the attempt, Unix time in nanoseconds: decides between peak and other hours.
        service_tier: As the reply stated it; empty is standard.
        find_part: Finds the prices of `usage.parts`; without it only parts that name no model can be priced.
    """
    tally = _Tally(price)
    if figure := _implausible(usage):
        tally.unknown("implausible", figure)
    else:
        _price_own(usage, price, _card(price, at_ns, service_tier, tally), tally)
    for part in usage.parts:
        own: Price | None = price
        if part.model is not None:
            own = find_part(part.model) if find_part else None
        if own is None:
            tally.unknown("no_price", part.model or part.kind)
        else:
            tally.absorb(price_usage(part.usage, own, at_ns=at_ns, service_tier=service_tier, find_part=find_part))
    return tally.close()


def unpriced(currency: str, reason: str) -> Priced:
    """A cost that is not known, for a reason of `REASONS`."""
    return Priced(amount=None, currency=currency, reasons=(reason,))


def unit_amount(quantity: Decimal, rate: Decimal, per: int) -> Decimal:
    """Quantity x rate / per, rounded half to even at 18 decimals if it has more."""
    amount = _EXACT.divide(_EXACT.multiply(rate, quantity), per)
    return _EXACT.quantize(amount, _QUANTUM) if _decimals(amount) > AMOUNT_DECIMALS else amount


def exact_sum(amounts: Iterable[Decimal]) -> Decimal:
    """The sum, whatever precision the caller's decimal context has."""
    total = _ZERO
    for amount in amounts:
        total = _EXACT.add(total, amount)
    return total


class _Tally:
    """Collects lines and flags while one usage is priced."""

    __slots__ = ("estimated", "known", "lines", "lower_bound", "price", "reasons")

    def __init__(self, price: Price) -> None:
        self.price = price
        self.lines: list[Line] = []
        self.reasons: list[str] = []
        self.estimated = False
        self.lower_bound = False
        self.known = True

    def add(self, part: str, quantity: int, rate: Decimal | None) -> None:
        """Price tokens; without a rate the amount cannot be known."""
        if quantity == 0:
            return
        if rate is None:
            self.unknown("no_rate", part)
            return
        price = self.price
        amount = _EXACT.divide(_EXACT.multiply(rate, quantity), price.per)
        self.lines.append(
            Line(part=part, quantity=Decimal(quantity), rate=rate, per=price.per, amount=amount, price_id=price.id)
        )

    def add_unit(self, name: str, quantity: Decimal) -> None:
        """Price units that are not tokens."""
        unit = self.price.units.get(name)
        if unit is None:
            self.unknown("no_rate", name)
            return
        free = min(unit.free, quantity)
        amount = unit_amount(_EXACT.subtract(quantity, free), unit.rate, unit.per)
        self.lines.append(
            Line(
                part=name,
                quantity=quantity,
                rate=unit.rate,
                per=unit.per,
                amount=amount,
                price_id=self.price.id,
                free=free,
            )
        )

    def unknown(self, reason: str, case: str = "") -> None:
        """The amount cannot be known."""
        self.known = False
        self._reason(reason, case)

    def estimate(self, reason: str, case: str = "") -> None:
        """The amount may differ from the bill."""
        self.estimated = True
        self._reason(reason, case)

    def at_least(self, reason: str, case: str = "") -> None:
        """The bill is the amount or more."""
        self.lower_bound = True
        self.estimate(reason, case)

    def _reason(self, reason: str, case: str) -> None:
        text = f"{reason}:{case}"[:_REASON_CHARS] if case else reason
        if text not in self.reasons:
            self.reasons.append(text)

    def absorb(self, part: Priced) -> None:
        """Take over what a part of the answer cost."""
        self.lines += part.lines
        self.reasons += [reason for reason in part.reasons if reason not in self.reasons]
        self.estimated |= part.estimated
        self.lower_bound |= part.lower_bound
        self.known &= part.amount is not None
        if part.currency != self.price.currency:
            self.unknown("mixed_currencies")

    def close(self) -> Priced:
        """The result."""
        amount = exact_sum(line.amount for line in self.lines) if self.known else None
        return Priced(
            amount=amount,
            currency=self.price.currency,
            cost_source="none" if amount is None else self.price.origin,
            price_id=self.price.id,
            lines=tuple(self.lines),
            estimated=self.estimated,
            lower_bound=self.lower_bound,
            reasons=tuple(self.reasons),
            list_cost=None if amount is None else Money(amount, self.price.currency),
        )


def _card(price: Price, at_ns: int, service_tier: str, tally: _Tally) -> Card:
    """The rates of the tier that served the call; the reply's tier decides, not the request's."""
    tier = service_tier.lower()
    if tier not in STANDARD_TIERS:
        if card := price.service_tiers.get(tier):
            return card
        tally.estimate("service_tier", tier)
    return next((window.card for window in price.windows if window.covers(at_ns)), price.card)


def _implausible(usage: Usage) -> str:
    """Name of the first figure that cannot be true; empty when all can."""
    for name in _TOKEN_FIGURES:
        tokens: int | None = getattr(usage, name)
        if tokens is not None and not 0 <= tokens <= MAX_QUANTITY:
            return name
    for name, quantity in usage.units.items():
        if not quantity.is_finite() or not 0 <= quantity <= MAX_QUANTITY or _decimals(quantity) > _UNIT_DECIMALS:
            return name
    return ""


def _decimals(number: Decimal) -> int:
    """How many decimals a finite number is written with; negative for whole thousands."""
    exponent = number.as_tuple().exponent
    return -exponent if isinstance(exponent, int) else 0


_TOKEN_FIGURES = tuple(name for name in Usage.__struct_fields__ if name.endswith("_tokens"))


def _price_own(usage: Usage, price: Price, card: Card, tally: _Tally) -> None:
    """Price the usage's own figures, without its parts."""
    rates = card.for_input(usage.input_tokens or 0)
    bills_tokens = rates.input is not None or rates.output is not None
    has_tokens = usage.input_tokens is not None or usage.output_tokens is not None
    units = [(name, quantity) for name, quantity in usage.units.items() if quantity and name not in price.included]
    if "requests" in price.units and "requests" not in usage.units:
        units.append(("requests", Decimal(1)))
    if has_tokens:
        _price_input(usage, rates, tally)
        _price_output(usage, rates, tally)
    elif usage.total_tokens is not None:
        _price_total(usage.total_tokens, rates, tally)
    elif bills_tokens and not usage.parts:
        if not units and not usage.units:
            tally.unknown("no_usage")
            return
        tally.at_least("tokens_unreported")
    elif not units and not usage.units and not usage.parts:
        tally.unknown("no_usage")
        return
    for name, quantity in units:
        tally.add_unit(name, quantity)
    if price.estimate:
        tally.estimate("price_estimated")
    if usage.source == "estimated":
        tally.estimate("usage_estimated")
    elif not usage.complete and usage.source == "provider":
        tally.at_least("incomplete")


def _price_input(usage: Usage, rates: Rates, tally: _Tally) -> None:
    cached = usage.cached_input_tokens or 0
    write, write_1h = _writes(usage, tally)
    if usage.input_tokens is None:
        if rates.input is not None:
            tally.at_least("input_unreported")
        fresh = 0
    else:
        fresh = usage.input_tokens - cached - write - write_1h
        if fresh < 0:
            tally.estimate("cached_exceeds_input")
            fresh = 0
    audio = _audio(usage.audio_input_tokens, usage.input_tokens, rates.audio_input, tally)
    fresh_audio = min(audio, fresh)
    cached_audio = min(audio - fresh_audio, cached)
    if audio and cached and rates.audio_input is not None:
        tally.estimate("cached_audio_unknown")
    cached_rate = rates.input if rates.cached_input is None else rates.cached_input
    write_rate = rates.input if rates.cache_write is None else rates.cache_write
    if write_1h and rates.cache_write_1h is None and rates.cache_write is not None:
        tally.at_least("no_write_1h_rate")
    tally.add("input", fresh - fresh_audio, rates.input)
    tally.add("audio_input", fresh_audio, rates.input if rates.audio_input is None else rates.audio_input)
    tally.add("cached_input", cached - cached_audio, cached_rate)
    tally.add("cached_audio_input", cached_audio, _cached_audio_rate(rates, cached_rate))
    tally.add("cache_write", write, write_rate)
    tally.add("cache_write_1h", write_1h, write_rate if rates.cache_write_1h is None else rates.cache_write_1h)


def _price_output(usage: Usage, rates: Rates, tally: _Tally) -> None:
    output = usage.output_tokens
    if output is None:
        if rates.output:
            tally.at_least("output_unreported")
        return
    audio = _audio(usage.audio_output_tokens, output, rates.audio_output, tally)
    reasoning = 0 if rates.reasoning is None else usage.reasoning_tokens or 0
    if reasoning > output - audio:
        tally.estimate("reasoning_exceeds_output")
        reasoning = output - audio
    tally.add("output", output - audio - reasoning, rates.output)
    tally.add("audio_output", audio, rates.output if rates.audio_output is None else rates.audio_output)
    tally.add("reasoning", reasoning, rates.reasoning)


def _price_total(total: int, rates: Rates, tally: _Tally) -> None:
    """A total without its parts costs at least the cheapest of the rates it may have been billed at."""
    if rates.output is None:
        tally.add("input", total, rates.input)
        return
    stated = [rate for rate in (rates.input, rates.cached_input, rates.output) if rate is not None]
    tally.at_least("total_only")
    tally.add("total", total, min(stated))


def _writes(usage: Usage, tally: _Tally) -> tuple[int, int]:
    """Cache writes as (five minutes or unstated, one hour)."""
    write_1h = usage.cache_write_1h_tokens or 0
    if usage.cache_write_tokens is None:
        return usage.cache_write_5m_tokens or 0, write_1h
    if write_1h > usage.cache_write_tokens:
        tally.estimate("write_1h_exceeds_write")
        return 0, write_1h
    return usage.cache_write_tokens - write_1h, write_1h


def _audio(audio: int | None, tokens: int | None, rate: Decimal | None, tally: _Tally) -> int:
    """The audio tokens among `tokens`; audio is never cheaper than text, so without a rate it is a lower bound."""
    if not audio:
        return 0
    if rate is None:
        tally.at_least("no_audio_rate")
    if audio > (tokens or 0):
        tally.estimate("audio_exceeds_tokens")
    return min(audio, tokens or 0)


def _cached_audio_rate(rates: Rates, cached_rate: Decimal | None) -> Decimal | None:
    if rates.cached_audio_input is not None:
        return rates.cached_audio_input
    return cached_rate if rates.audio_input is None else rates.audio_input
