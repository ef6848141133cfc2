"""What a price is: a dated entry of a price list, as plain exact values. The arithmetic is in `proxy.core.pricing`.

Rates are Decimal and always stand for a stated number of things (`per`). None is "this list does not say"; what stands
in for it is a rule of the arithmetic, not of the list.
"""

from decimal import Decimal
from typing import Literal

import msgspec

PriceOrigin = Literal["book", "library"]

_NS_PER_MINUTE = 60 * 10**9
_MINUTES_PER_DAY = 24 * 60
_EPOCH_WEEKDAY = 3  # 1970-01-01 was a Thursday, and Monday is 0
_MILLION = 1_000_000


class Rates(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Money for `Price.per` tokens of each kind."""

    input: Decimal | None = None
    cached_input: Decimal | None = None
    cache_write: Decimal | None = None
    """Writes that live five minutes, and writes whose lifetime nobody reports."""
    cache_write_1h: Decimal | None = None
    output: Decimal | None = None
    reasoning: Decimal | None = None
    """Only where reasoning costs something else than other output."""
    audio_input: Decimal | None = None
    cached_audio_input: Decimal | None = None
    audio_output: Decimal | None = None


RATE_NAMES: tuple[str, ...] = Rates.__struct_fields__
"""The token kinds that a price list can name, in the order in which they are shown."""

NO_RATES = Rates()


class Tier(msgspec.Struct, frozen=True):
    """Rates of long prompts. A cliff: above the boundary every token of the call costs these."""

    input_over: int
    """All input tokens, cached ones included; the tier begins with the next one."""
    rates: Rates


class Card(msgspec.Struct, frozen=True):
    """The token rates of one way to be served (standard, priority, batch, peak hours ...)."""

    rates: Rates = NO_RATES
    tiers: tuple[Tier, ...] = ()
    """By rising boundary, each complete: nothing is inherited at the time of a call."""

    def for_input(self, input_tokens: int) -> Rates:
        """The rates of a call with so many input tokens, cached ones included."""
        rates = self.rates
        for tier in self.tiers:
            if input_tokens <= tier.input_over:
                break
            rates = tier.rates
        return rates


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """Hours of the week with rates of their own. Holidays are not known: such prices are marked as estimates."""

    utc_offset_min: int
    """Minutes east of UTC; fixed, as where such prices exist no clock is ever changed."""
    weekdays: tuple[int, ...]
    """Monday is 0."""
    from_min: int
    """Minutes after local midnight, included."""
    until_min: int
    """Minutes after local midnight, excluded; 1440 is the end of the day."""
    card: Card

    def covers(self, at_ns: int) -> bool:
        """Whether that instant (Unix time in nanoseconds) lies in the window."""
        day, minute = divmod(at_ns // _NS_PER_MINUTE + self.utc_offset_min, _MINUTES_PER_DAY)
        return self.from_min <= minute < self.until_min and (day + _EPOCH_WEEKDAY) % 7 in self.weekdays


class UnitRate(msgspec.Struct, frozen=True):
    """Money for `per` units that are not tokens: characters, images, seconds, searches."""

    rate: Decimal
    per: int = 1
    free: Decimal = Decimal(0)
    """So many of each call cost nothing."""


class Price(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One dated entry: what a model costs at a kind of provider."""

    id: str
    """List, its version, and the entry: `taximeter@2026-11-23/minimax/MiniMax-M3`."""
    origin: PriceOrigin
    currency: str
    kinds: tuple[str, ...] = ()
    """Provider kinds that it holds for."""
    hosts: tuple[str, ...] = ()
    """Host names or globs, lower case; none means every host of the kind."""
    other_hosts: bool = False
    """Whether it also holds at hosts that no entry for the model names: gateways, tests."""
    match: tuple[str, ...] = ()
    """Model names or globs, lower case."""
    effective_from_ns: int | None = None
    """Unix time; None is "as far back as anybody asks"."""
    effective_until_ns: int | None = None
    """Unix time, excluded; None while it has no end."""
    per: int = _MILLION
    """Tokens that the rates are for."""
    card: Card = Card()
    service_tiers: dict[str, Card] = {}
    """Rates by the service tier of the reply, lower case; the standard tier is `card`."""
    windows: tuple[Window, ...] = ()
    units: dict[str, UnitRate] = {}
    included: tuple[str, ...] = ()
    """Units that are reported but cost nothing of their own: seconds of speech that is billed by character."""
    context_tokens: int | None = None
    max_output_tokens: int | None = None
    """What one answer can have at most, thinking included; None where nobody stated it."""
    estimate: str = ""
    """Why this price may differ from the bill; empty for a price that is exact."""

    def effective(self, at_ns: int) -> bool:
        """Whether the entry holds at that instant (Unix time in nanoseconds)."""
        if self.effective_from_ns is not None and at_ns < self.effective_from_ns:
            return False
        return self.effective_until_ns is None or at_ns < self.effective_until_ns


class Listing(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A price as a page shows it: the standard tier and hours, short prompts, money per million tokens."""

    price_id: str
    currency: str
    input_per_million: Decimal | None = None
    cached_input_per_million: Decimal | None = None
    output_per_million: Decimal | None = None
    units: dict[str, UnitRate] = {}
    context_tokens: int | None = None
    estimate: str = ""


def listing_of(price: Price) -> Listing:
    """What a table of list prices says about this entry."""
    rates = price.card.rates
    return Listing(
        price_id=price.id,
        currency=price.currency,
        input_per_million=_per_million(rates.input, price.per),
        cached_input_per_million=_per_million(rates.cached_input, price.per),
        output_per_million=_per_million(rates.output, price.per),
        units=price.units,
        context_tokens=price.context_tokens,
        estimate=price.estimate,
    )


def _per_million(rate: Decimal | None, per: int) -> Decimal | None:
    if rate is None or per == _MILLION:
        return rate
    return rate * _MILLION / per
