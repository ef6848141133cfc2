"""A configured provider, taken apart once so that a call builds nothing that depends only on its route."""

import asyncio
from collections import OrderedDict
from functools import lru_cache

from proxy.outbox import Outbox
from proxy.providers.base import Provider, Route
from proxy.settings import ProviderSettings
from proxy.upstream.head_shapes import HeadReader
from proxy.upstream.pool import Origin, Pool

_ROUTES_KEPT = 4096
"""Distinct (method, path) pairs whose route is remembered; paths with ids in them would grow without end."""
_LONGEST_KEPT_CHARS = 512
"""A longer path is looked at anew each time: an app may send 64 KiB of one."""
_REFUSALS_KEPT = 256
"""Distinct (path, model) pairs that are known to refuse the usage option; both are the app's words."""


class Upstream:
    """Everything of one provider that outlives a call: its settings, its kind, its connections."""

    def __init__(
        self, settings: ProviderSettings, kind: Provider, loop: asyncio.AbstractEventLoop, outbox: Outbox
    ) -> None:
        self.settings = settings
        self.kind = kind
        names = tuple(name.encode("ascii") for name in kind.request_id_headers)
        self.pool = Pool(settings, loop, outbox, HeadReader(names))
        self.origin: Origin = self.pool.origin
        self.currency = settings.currency or kind.currencies.get(self.origin.host, "USD")
        key = settings.api_key
        self.billing = kind.billing(key.encode("latin-1")) if key is not None else ""
        """How calls are paid for where the operator's own key tells."""
        self._refusals: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._route = lru_cache(_ROUTES_KEPT)(kind.route)

    def __repr__(self) -> str:
        return f"<Upstream {self.settings.name} {self.pool!r}>"

    def route(self, method: str, path: str) -> Route:
        """What a path of this provider is."""
        return (self._route if len(path) <= _LONGEST_KEPT_CHARS else self.kind.route)(method, path)

    def credential(self, path: str) -> tuple[str, str] | None:
        """Header name and whole value of the operator's key on this path; None lets the app's own key pass."""
        key = self.settings.api_key
        return None if key is None else self.kind.credential(path, key)

    def asks_usage(self, path: str, query: str, model: str) -> bool:
        """Whether a stream of this model on this path may be asked for usage on the app's behalf."""
        if self.settings.inject_usage is False or self.kind.injects_usage is None:
            return False
        return (path, model) not in self._refusals and self.kind.injects_usage(path, query)

    def learn_refusal(self, path: str, model: str) -> None:
        """Remember that this model does not know `stream_options` on this path: it is not asked for usage again.

        By model, for there is a gateway behind many a provider: what one of its backends does not know says nothing of
        the others, and nobody may switch metering off for all by calling the least able of them.
        """
        self._refusals[path, model] = None
        if len(self._refusals) > _REFUSALS_KEPT:
            self._refusals.popitem(last=False)
