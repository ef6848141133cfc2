"""What an attempt cost: money the provider states, else the price book, else the price library, else unknown.

The recorder prices every attempt here. Money that the provider states wins, and what the list price makes of the same
usage is kept beside it. Only prices in the currency of the host's bill are ever used. What could not be priced is
counted.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Protocol

import msgspec

from proxy.core.money import Money
from proxy.core.price import Listing, Price, listing_of
from proxy.core.pricing import Priced, price_usage, unpriced
from proxy.core.record import AttemptRecord, CallRecord
from proxy.core.usage import NO_USAGE

DEFAULT_CURRENCY = "USD"
MAX_COUNTED = 1000
"""Models that are counted apart; names come from calls, so there is no end to them."""
UNCOUNTED = ("other", "other")
"""What further models are counted as."""
BATCH_TIER = "batch"

_ZERO = Decimal(0)
_MAY_BE_BILLED = frozenset({"timeout", "cancelled_by_client", "stream_truncated", "bad_upstream_body"})


class PriceSource(Protocol):
    """A price list: the book, the library."""

    def find(self, kind: str, host: str, model: str, at_ns: int, *, currency: str | None = None) -> Price | None:
        """The entry for a model at a host and an instant, in one currency; None when the list has none."""


class Pricer:
    """Prices attempts from several lists; the first list that knows a model wins."""

    def __init__(
        self,
        sources: Sequence[PriceSource],
        *,
        host_currencies: Mapping[str, str],
        provider_currencies: Mapping[str, str] | None = None,
    ) -> None:
        """Set up.

        Args:
            sources: Price lists, the one to ask first in front.
            host_currencies: Host name -> currency of its bill (`Provider.currencies`); every other host bills in USD.
            provider_currencies: Configured provider name -> currency, where the operator overrides the host's.
        """
        self._sources = tuple(sources)
        self._host_currencies = dict(host_currencies)
        self._provider_currencies = dict(provider_currencies or {})
        self._unpriced: Counter[tuple[str, str]] = Counter()

    @property
    def unpriced(self) -> Mapping[tuple[str, str], int]:
        """(provider, model) -> attempts whose cost is not known although they may have cost something."""
        return self._unpriced

    def currency(self, provider: str, host: str) -> str:
        """The currency that a configured provider bills in at a host."""
        return self._provider_currencies.get(provider) or self._host_currencies.get(host, DEFAULT_CURRENCY)

    def price(self, attempt: AttemptRecord, call: CallRecord) -> Priced:
        """What one attempt of a call cost.

        Args:
            attempt: The attempt; its answering model and service tier decide. Its `billing` stands where it says one;
                else a call is `metered` or `free`.
            call: The call it belongs to.
        """
        host = host_name(attempt.host)
        currency = self.currency(attempt.provider, host)
        if not call.billable:
            return Priced(amount=_ZERO, currency=currency, billing="free")
        priced = self._list_price(attempt, call, host, currency)
        stated = attempt.provider_cost
        if stated is not None and stated.amount.is_finite() and stated.amount >= 0:
            priced = _stated(priced, stated)
        elif priced.amount is None and not turned_away(attempt):
            self._count(attempt.provider, _model(attempt, call))
        if attempt.billing == "subscription":
            return msgspec.structs.replace(priced, billing="subscription")
        return priced

    def listing(self, kind: str, host: str, model: str, at_ns: int, *, provider: str = "") -> Listing | None:
        """List prices and context size of a model, for reports; None when no list knows it."""
        host = host_name(host)
        price = self._find(kind, host, model, at_ns, self.currency(provider, host))
        return None if price is None else listing_of(price)

    def _list_price(self, attempt: AttemptRecord, call: CallRecord, host: str, currency: str) -> Priced:
        if turned_away(attempt):
            return unpriced(currency, "no_usage")
        at_ns = attempt.started_at_ns
        price = self._find(attempt.kind, host, _model(attempt, call), at_ns, currency)
        if price is None:
            return unpriced(currency, "no_usage" if attempt.usage == NO_USAGE else "no_price")
        tier = attempt.service_tier or (BATCH_TIER if call.operation == BATCH_TIER else "")
        return price_usage(
            attempt.usage,
            price,
            at_ns=at_ns,
            service_tier=tier,
            find_part=lambda model: self._find(attempt.kind, host, model, at_ns, currency),
        )

    def _find(self, kind: str, host: str, model: str, at_ns: int, currency: str) -> Price | None:
        for source in self._sources:
            price = source.find(kind, host, model, at_ns, currency=currency)
            if price is not None:
                return price
        return None

    def _count(self, provider: str, model: str) -> None:
        key = (provider, model)
        if key not in self._unpriced and len(self._unpriced) >= MAX_COUNTED:
            key = UNCOUNTED
        self._unpriced[key] += 1


def host_name(host: str) -> str:
    """A host without its port, in lower case."""
    name, colon, port = host.lower().rpartition(":")
    return name if colon and port.isdigit() and not name.endswith(":") else host.lower()


def _model(attempt: AttemptRecord, call: CallRecord) -> str:
    return attempt.model or call.model_requested or f"operation:{call.operation}"


def turned_away(attempt: AttemptRecord) -> bool:
    """Whether a provider turned an attempt away before any work on it, which nobody bills."""
    if attempt.usage != NO_USAGE or attempt.ttft_ns is not None or attempt.outcome == "interrupted" or attempt.in_doubt:
        return False
    if attempt.status >= 300:
        return True
    return attempt.error is not None and attempt.error.error_class not in _MAY_BE_BILLED


def _stated(priced: Priced, stated: Money) -> Priced:
    """The provider's own money; flags of the list price say nothing about it."""
    return msgspec.structs.replace(
        priced,
        amount=stated.amount,
        currency=stated.currency,
        cost_source="provider",
        provider_cost=stated,
        estimated=False,
        lower_bound=False,
        reasons=(),
    )
