"""The dearest rate of a model: a look-up in what `policies.rates` compiled."""

from bisect import bisect_right
from collections.abc import Sequence

from policies.compiled import ModelRate
from proxy.prices.match import matches

MAX_REMEMBERED = 4096
MAX_NAME_CHARS = 256
_ALWAYS_NS = 2**63


class RateBook:
    """Rates by configured provider, the one to prefer first; look-ups are remembered."""

    def __init__(self, rates: Sequence[ModelRate]) -> None:
        self._by_provider: dict[str, list[ModelRate]] = {}
        for rate in rates:
            self._by_provider.setdefault(rate.provider, []).append(rate)
        self._remembered: dict[tuple[str, str], tuple[ModelRate, ...]] = {}
        instants = {at_ns for rate in rates for at_ns in (rate.from_ns, rate.until_ns) if at_ns is not None}
        self._changes_ns = (-_ALWAYS_NS, *sorted(instants), _ALWAYS_NS)

    def find(self, provider: str, model: str | None, operation: str, now_ns: int) -> ModelRate | None:
        """The rate in effect for a model, or for an operation that names none; None when nobody knows it."""
        key = (provider, model or f"operation:{operation}")
        found = self._remembered.get(key)
        if found is None:
            found = self._candidates(provider, key[1].lower())
            if len(self._remembered) >= MAX_REMEMBERED:
                self._remembered.clear()
            self._remembered[key] = found
        for rate in found:
            if (rate.from_ns or 0) <= now_ns and (rate.until_ns is None or now_ns < rate.until_ns):
                return rate
        return None

    def span(self, now_ns: int) -> tuple[int, int]:
        """Since (included) and until when the rates in effect are those of an instant, whatever the model."""
        after = bisect_right(self._changes_ns, now_ns)
        return self._changes_ns[after - 1], self._changes_ns[after]

    def _candidates(self, provider: str, model: str) -> tuple[ModelRate, ...]:
        if len(model) > MAX_NAME_CHARS:
            return ()
        return tuple(
            rate for rate in self._by_provider.get(provider, ()) if any(matches(glob, model) for glob in rate.models)
        )
