"""What the worker sets aside for a call that has ended.

It is what the recorder will book a second later, by the same rule (`policies.spent`) and from the same prices: those
that the policies were compiled with. Nearly every call is a whole number of tokens at flat rates; that case is reckoned
in integers, in a microsecond, and any other is priced as the recorder prices it.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from policies.compiled import ModelRate
from policies.demand import MONEY_SCALE
from policies.spent import spent
from proxy.core.price import Price
from proxy.core.pricing import STANDARD_TIERS, Priced
from proxy.core.record import AttemptRecord, CallRecord, Draw
from proxy.prices.book import PriceBook
from proxy.prices.pricer import Pricer, host_name

_MILLION = 1_000_000
_MOST_TOKENS = 10**9
_NOT_FLAT = (0, "")
_MAX_REMEMBERED = 4096
_HOUR_NS = 3600 * 10**9
"""Prices change on the hour, if not at midnight; a set-aside that missed a change is put right by the recorder."""


class FlatRates:
    """Nano-units of money for a million tokens, of a price that has one rate for each kind of token at all times."""

    __slots__ = ("cache_write", "cached", "currency", "fresh", "output")

    def __init__(self, currency: str, fresh: int, cached: int, cache_write: int, output: int) -> None:
        self.currency = currency
        self.fresh = fresh
        self.cached = cached
        self.cache_write = cache_write
        self.output = output

    @classmethod
    def of(cls, price: Price) -> "FlatRates | None":
        """The rates of a price; None where it has more to it."""
        rates, card = price.card.rates, price.card
        if card.tiers or price.windows or price.per != _MILLION or "requests" in price.units:
            return None
        if rates.input is None or rates.output is None or rates.reasoning is not None:
            return None
        cached = rates.input if rates.cached_input is None else rates.cached_input
        written = rates.input if rates.cache_write is None else rates.cache_write
        whole = [_nano(rate) for rate in (rates.input, cached, written, rates.output)]
        if None in whole:
            return None
        fresh, cached_nano, write_nano, output = whole
        return cls(price.currency, fresh or 0, cached_nano or 0, write_nano or 0, output or 0)

    def nano(self, attempt: AttemptRecord) -> int | None:
        """What an attempt cost, in millionths of nano-units; None where integers do not tell."""
        usage = attempt.usage
        inputs, outputs = usage.input_tokens, usage.output_tokens
        if inputs is None or outputs is None or usage.source != "provider":
            return None
        if usage.units or usage.parts or usage.audio_input_tokens or usage.audio_output_tokens:
            return None
        if usage.cache_write_1h_tokens or attempt.service_tier.lower() not in STANDARD_TIERS:
            return None
        cached, written = usage.cached_input_tokens or 0, usage.cache_write_tokens or 0
        if usage.cache_write_tokens is None and usage.cache_write_5m_tokens:
            return None
        fresh = inputs - cached - written
        if fresh < 0 or inputs > _MOST_TOKENS or outputs > _MOST_TOKENS:
            return None
        return fresh * self.fresh + cached * self.cached + written * self.cache_write + outputs * self.output


class Settler:
    """Reckons what calls have used.

    Args:
        rates: The compiled rates, the one to prefer first.
        host_currencies: Host -> currency of its bill.
        provider_currencies: Configured provider -> currency, where the operator overrides the host's.
    """

    def __init__(
        self,
        rates: Iterable[ModelRate],
        *,
        host_currencies: Mapping[str, str],
        provider_currencies: Mapping[str, str],
    ) -> None:
        by_provider: dict[str, list[Price]] = {}
        for rate in rates:
            prices = by_provider.setdefault(rate.provider, [])
            if rate.price is not None and rate.price not in prices[-1:]:
                prices.append(rate.price)
        # Of two layers of a book the later one wins.
        self._books = {name: PriceBook((one,) for one in reversed(prices)) for name, prices in by_provider.items()}
        self._pricers = {
            name: Pricer([book], host_currencies=host_currencies, provider_currencies=provider_currencies)
            for name, book in self._books.items()
        }
        self._unknown = Pricer([], host_currencies=host_currencies, provider_currencies=provider_currencies)
        self._flat: dict[tuple[str, str, str, int], FlatRates | None] = {}

    def amounts(self, draws: Sequence[Draw], call: CallRecord) -> list[int]:
        """What a finished call has used of each counter it draws on."""
        attempts = call.attempts
        prices: list[Priced] | None = None
        nano, currency = self._flat_cost(attempts[0], call) if len(attempts) == 1 and call.billable else (0, "")
        found = []
        for draw in draws:
            if draw.unit == currency:
                found.append(nano)
                continue
            if prices is None and len(draw.unit) == 3:
                prices = [self._pricer(attempt.provider).price(attempt, call) for attempt in attempts]
            found.append(spent(draw, attempts, prices or (), billable=call.billable))
        return found

    def _pricer(self, provider: str) -> Pricer:
        return self._pricers.get(provider, self._unknown)

    def _flat_cost(self, attempt: AttemptRecord, call: CallRecord) -> tuple[int, str]:
        """What an attempt at flat rates cost, in nano-units rounded up, and their currency; none for others."""
        if attempt.provider_cost is not None or call.operation == "batch" or not attempt.model:
            return _NOT_FLAT
        at_ns = attempt.started_at_ns
        key = (attempt.provider, attempt.host, attempt.model, at_ns // _HOUR_NS)
        if key not in self._flat:
            if len(self._flat) >= _MAX_REMEMBERED:
                self._flat.clear()
            host = host_name(attempt.host)
            book = self._books.get(attempt.provider)
            currency = self._pricer(attempt.provider).currency(attempt.provider, host)
            price = book.find(attempt.kind, host, attempt.model, at_ns, currency=currency) if book is not None else None
            self._flat[key] = FlatRates.of(price) if price is not None else None
        flat = self._flat[key]
        millionths = flat.nano(attempt) if flat is not None else None
        return _NOT_FLAT if millionths is None or flat is None else (-(-millionths // _MILLION), flat.currency)


def _nano(rate: Decimal) -> int | None:
    scaled = rate.scaleb(MONEY_SCALE)
    whole = int(scaled)
    return whole if whole == scaled else None
