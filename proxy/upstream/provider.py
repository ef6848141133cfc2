"""A configured provider, taken apart once so that a call builds nothing that depends only on its route."""

import asyncio
from collections import OrderedDict
from functools import lru_cache

from proxy.blanks import blank_attempt
from proxy.outbox import Outbox
from proxy.providers.base import Provider, Route
from proxy.settings import ProviderKey, ProviderSettings
from proxy.upstream.head_shapes import HeadReader
from proxy.upstream.keys import UpstreamKey, UpstreamKeys
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
        self.blank_attempt = blank_attempt(provider=settings.name, kind=kind.kind, host=self.origin.host)
        self.currency = settings.currency or kind.currencies.get(self.origin.host, "USD")
        self.keys = UpstreamKeys(_keys(settings, kind))
        self._refusals: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._route = lru_cache(_ROUTES_KEPT)(kind.route)

    def __repr__(self) -> str:
        return f"<Upstream {self.settings.name} {self.pool!r}>"

    def route(self, method: str, path: str) -> Route:
        """What a path of this provider is."""
        return (self._route if len(path) <= _LONGEST_KEPT_CHARS else self.kind.route)(method, path)

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


def _keys(settings: ProviderSettings, kind: Provider) -> list[UpstreamKey]:
    own = settings.api_keys
    if not own and settings.api_key is not None:
        own = (ProviderKey(name="api_key", key=settings.api_key),)
    return [
        UpstreamKey(name=key.name, secret=key.key, weight=key.weight, billing=kind.billing(key.key.encode("latin-1")))
        for key in own
    ]
