"""The price book: which entry holds for a model, at a host, at an instant.

Entries lie in layers, and the upper layer wins. Within a layer the order is: an entry that names the host before one
for any host, a narrower model name before a wider one (`proxy.prices.match`), and of those the newest that was in
effect at the call's start. Two entries that this leaves undecided are an error when the book is loaded
(`proxy.prices.load`).
"""

from collections.abc import Iterable
from operator import itemgetter

from proxy.core.price import Price
from proxy.prices.match import Rank, matches, rank

MAX_REMEMBERED = 4096
"""Models whose entries are remembered; names come from calls, so there is no end to them."""
MAX_NAME_CHARS = 256
"""A longer model name is no model of anybody's."""

Layer = tuple[Price, ...]

_Standing = tuple[int, int, Rank, int]
"""Layer, whether the host is named, how narrowly the model is, since when: the greatest is preferred."""
_EVER_NS = -(2**63)


class PriceBook:
    """Entries in layers, the first the lowest. Lookups are remembered by model and host."""

    def __init__(self, layers: Iterable[Layer]) -> None:
        self.layers: tuple[Layer, ...] = tuple(layers)
        self._remembered: dict[tuple[str, str, str, str | None], tuple[Price, ...]] = {}

    def find(self, kind: str, host: str, model: str, at_ns: int, *, currency: str | None = None) -> Price | None:
        """The entry for a model at a provider.

        Args:
            kind: Provider kind, e.g. `minimax`.
            host: Host name without port; one that no entry names is served by entries for `other_hosts`.
            model: As the reply names it, or `operation:NAME` for calls without a model.
            at_ns: Start of the attempt, Unix time in nanoseconds.
            currency: The only currency that counts; None takes any.
        """
        key = (kind, host, model, currency)
        found = self._remembered.get(key)
        if found is None:
            found = self._candidates(kind, host.lower(), model.lower(), currency)
            if len(self._remembered) >= MAX_REMEMBERED:
                self._remembered.clear()
            self._remembered[key] = found
        return next((price for price in found if price.effective(at_ns)), None)

    def _candidates(self, kind: str, host: str, model: str, currency: str | None) -> tuple[Price, ...]:
        """Every entry for the model, the one to prefer first."""
        if len(model) > MAX_NAME_CHARS or len(host) > MAX_NAME_CHARS:
            return ()
        at_home: list[tuple[_Standing, Price]] = []
        elsewhere: list[tuple[_Standing, Price]] = []
        for layer, prices in enumerate(self.layers):
            for price in prices:
                narrow = _model_rank(price, model)
                if narrow is None or kind not in price.kinds or currency not in {None, price.currency}:
                    continue
                since_ns = _EVER_NS if price.effective_from_ns is None else price.effective_from_ns
                named = _host_rank(price, host)
                if named is not None:
                    at_home.append(((layer, named, narrow, since_ns), price))
                elif price.other_hosts:
                    elsewhere.append(((layer, 0, narrow, since_ns), price))
        chosen = sorted(at_home or elsewhere, key=itemgetter(0), reverse=True)
        return tuple(price for _, price in chosen)


def _host_rank(price: Price, host: str) -> int | None:
    """1 where the entry names the host, 0 where it holds for any; None where it is for other hosts."""
    if not price.hosts:
        return 0
    return 1 if any(matches(glob, host) for glob in price.hosts) else None


def _model_rank(price: Price, model: str) -> Rank | None:
    """How narrowly the entry names the model; None where it does not."""
    return max((rank(glob) for glob in price.match if matches(glob, model)), default=None)
