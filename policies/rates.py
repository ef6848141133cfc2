"""Price entries -> the dearest that a model can cost at a configured provider, for holds.

Dearest means: of all service tiers, prompt lengths and hours of the week the highest rate of each kind; of input the
highest of fresh, cached, written to the cache, and sound; of output the highest of text, reasoning and sound. A call is
never held for less than it can be billed. The entry itself goes along, so that what a call did cost is exact.
"""

from collections.abc import Iterable, Sequence
from decimal import ROUND_CEILING, Context, Decimal
from operator import itemgetter

import msgspec

from policies.compiled import ModelRate
from policies.demand import MONEY_SCALE
from proxy.core.price import Price, Rates
from proxy.prices.match import matches, rank

_Standing = tuple[int, bool, int, int, int]
"""Layer, whether the host is not named, how narrow the name is, since when: the smallest is preferred."""
_PER = 1_000_000
_DAY_NS = 86_400 * 10**9
_CEILING = Context(prec=60, rounding=ROUND_CEILING)
_INPUT = ("input", "cached_input", "cache_write", "cache_write_1h", "audio_input", "cached_audio_input")
_OUTPUT = ("output", "reasoning", "audio_output")


class Home(msgspec.Struct, frozen=True, kw_only=True):
    """A configured provider, as far as prices go."""

    provider: str
    """Configured name."""
    kind: str
    host: str
    """Without a port, lower case."""
    currency: str


def rates_of(home: Home, layers: Sequence[Iterable[Price]], now_ns: int = 0) -> tuple[ModelRate, ...]:
    """What models cost at a provider, the entry to prefer first.

    Args:
        home: The provider; only entries in the currency of its bill count.
        layers: Price entries, the layer to ask first in front: files of the operator's, the book, the library.
        now_ns: Entries that ended more than a day before are left out.
    """
    at_home: list[tuple[_Standing, ModelRate]] = []
    elsewhere: list[tuple[_Standing, ModelRate]] = []
    for layer, prices in enumerate(layers):
        for price in prices:
            ended = price.effective_until_ns is not None and price.effective_until_ns < now_ns - _DAY_NS
            if ended or home.kind not in price.kinds or price.currency != home.currency:
                continue
            named = any(matches(one, home.host) for one in price.hosts)
            if price.hosts and not named and not price.other_hosts:
                continue
            kept = elsewhere if price.hosts and not named else at_home
            since_ns = -(price.effective_from_ns or 0)
            kept += [
                ((layer, not named, *narrow, since_ns), _rate(home, price, names)) for narrow, names in _by_rank(price)
            ]
    return tuple(rate for kept in (at_home, elsewhere) for _, rate in sorted(kept, key=itemgetter(0)))


def _by_rank(price: Price) -> list[tuple[tuple[int, int], tuple[str, ...]]]:
    """The names of an entry by how narrow they are, the narrowest first: whole names together, then each glob."""
    whole = tuple(one for one in price.match if rank(one)[0])
    globs = [((0, -rank(one)[1]), (one,)) for one in price.match if not rank(one)[0]]
    return [((-1, 0), whole), *globs] if whole else [*globs]


def _rate(home: Home, price: Price, names: tuple[str, ...]) -> ModelRate:
    cards = [price.card, *price.service_tiers.values(), *(window.card for window in price.windows)]
    every = [rates for card in cards for rates in (card.rates, *(tier.rates for tier in card.tiers))]
    units = {
        name: nano_per_million(unit.rate, unit.per) for name, unit in price.units.items() if name not in price.included
    }
    return ModelRate(
        id=price.id,
        provider=home.provider,
        models=names,
        currency=price.currency,
        input_nano=_dearest(every, _INPUT, price.per),
        output_nano=_dearest(every, _OUTPUT, price.per),
        call_nano=units.pop("requests", 0),
        units_nano=units,
        context_tokens=price.context_tokens,
        max_output_tokens=price.max_output_tokens,
        from_ns=price.effective_from_ns,
        until_ns=price.effective_until_ns,
        price=price,
    )


def _dearest(every: Iterable[Rates], names: Iterable[str], per: int) -> int:
    found = [rate for rates in every for name in names if (rate := getattr(rates, name)) is not None]
    return nano_per_million(max(found, default=Decimal(0)), per)


def nano_per_million(rate: Decimal, per: int) -> int:
    """Money for `per` things as nano-units for a million of them, rounded up."""
    nano = _CEILING.multiply(rate.scaleb(MONEY_SCALE, _CEILING), _PER)
    return int(_CEILING.to_integral_value(_CEILING.divide(nano, per)))
