"""A configured provider, taken apart once so that a call builds nothing that depends only on its route."""

import asyncio
from functools import lru_cache

from proxy.outbox import Outbox
from proxy.providers.base import Provider
from proxy.settings import ProviderSettings
from proxy.upstream.pool import Origin, Pool

_ROUTES_KEPT = 4096
"""Distinct (method, path) pairs whose route is remembered; paths with ids in them would grow without end."""


class Upstream:
    """Everything of one provider that outlives a call: its settings, its kind, its connections."""

    def __init__(
        self, settings: ProviderSettings, kind: Provider, loop: asyncio.AbstractEventLoop, outbox: Outbox
    ) -> None:
        self.settings = settings
        self.kind = kind
        self.pool = Pool(settings, loop, outbox)
        self.origin: Origin = self.pool.origin
        self.currency = settings.currency or kind.currencies.get(self.origin.host, "USD")
        self.request_id_names = tuple(name.encode("ascii") for name in kind.request_id_headers)
        key = settings.api_key
        self.billing = kind.billing(key.encode("latin-1")) if key is not None else ""
        """How calls are paid for where the operator's own key tells."""
        self.refuses_usage = False
        """Learned: it answered that it does not know `stream_options`; it is not asked for usage again."""
        self.route = lru_cache(_ROUTES_KEPT)(kind.route)
        self.credential = lru_cache(_ROUTES_KEPT)(self._credential)

    def __repr__(self) -> str:
        return f"<Upstream {self.settings.name} {self.pool!r}>"

    def _credential(self, path: str) -> tuple[str, str] | None:
        """Header name and whole value of the operator's key on this path; None lets the app's own key pass."""
        key = self.settings.api_key
        return None if key is None else self.kind.credential(path, key)

    def asks_usage(self, path: str, query: str) -> bool:
        """Whether a stream on this path may be asked for usage on the app's behalf."""
        if self.refuses_usage or self.settings.inject_usage is False or self.kind.injects_usage is None:
            return False
        return self.kind.injects_usage(path, query)
