"""Where a request goes: the first segment of its path names a provider, the rest goes there byte for byte.

Invariant kept here: no request ever goes to a host that is not configured. Host and base path come from the settings,
only path and query from the app.
"""

from collections.abc import Mapping

import msgspec

from proxy.core.facts import Dialect
from proxy.downstream.known_heads import KnownHead
from proxy.providers import PROVIDERS, find_provider
from proxy.providers.base import Route
from proxy.replies import Reply
from proxy.request_head import SharedHead, share
from proxy.upstream.provider import Upstream

_BUILT_IN = frozenset(name for provider in PROVIDERS for name in (provider.kind, *provider.base_urls))
_ANY_ROUTE = find_provider("openai_compatible").route


class Place(msgspec.Struct, frozen=True):
    """Where requests with the same head go: what depends on nothing else."""

    upstream: Upstream
    raw_path: bytes
    query: bytes
    """With its question mark, as it came."""
    path: str
    route: Route
    dialect_name: str
    """Of the dialect that reads the bodies; empty when nobody does."""
    shared: SharedHead


class Places:
    """The configured providers, by the name that stands first in a path."""

    def __init__(self, upstreams: Mapping[str, Upstream]) -> None:
        self._upstreams = {name.encode("ascii"): upstream for name, upstream in upstreams.items()}
        self._names = ", ".join(sorted(upstreams))

    def find(self, head: KnownHead) -> Place | Reply:
        """The place that a request target names, or why there is none."""
        target = head.target
        if head.method == "CONNECT" or not target.startswith(b"/"):
            return Reply(
                status=400,
                code="bad_target",
                message="the request target must be a path such as /openai/v1/chat/completions; "
                "Taximeter is a reverse proxy, not a forward proxy",
            )
        path, mark, query = target.partition(b"?")
        name, slash, rest = path[1:].partition(b"/")
        upstream = self._upstreams.get(name)
        if upstream is None:
            return Reply(status=404, code="unknown_provider", message=self._unknown(str(name, "ascii", "replace")))
        if upstream.origin.prefix and _leaves_prefix(rest):
            message = "dot segments are not allowed below a base URL with a path"
            return Reply(status=400, code="bad_target", message=message)
        raw_path = (slash or b"/") + rest
        known_path = str(raw_path, "utf-8", "replace")
        route = upstream.route(head.method, known_path)
        return Place(
            upstream=upstream,
            raw_path=raw_path,
            query=mark + query,
            path=known_path,
            route=route,
            dialect_name=route.dialect.name if route.dialect is not None else "",
            shared=share(head.fields, upstream.credential(known_path)),
        )

    def _unknown(self, name: str) -> str:
        if name in _BUILT_IN:
            return (
                f"provider {name} is not set up here; give it a base URL under providers.{name}.base_url "
                "(azure: or in AZURE_OPENAI_ENDPOINT)"
            )
        return f"no provider has this name; the path must begin with one of: {self._names}"


def dialect_of(head: KnownHead) -> Dialect:
    """The dialect to word a refusal in where no provider was named: the one that such a path usually speaks."""
    path = str(head.target.partition(b"?")[0], "utf-8", "replace")
    return _ANY_ROUTE(head.method, path).error_dialect


def _leaves_prefix(rest: bytes) -> bool:
    lowered = rest.lower().replace(b"%2e", b".").replace(b"%2f", b"/").replace(b"\\", b"/").replace(b"%5c", b"/")
    # What follows a semicolon is no part of a segment to servers that know path parameters (RFC 3986, 3.3).
    return any(segment.partition(b";")[0] in {b"..", b"."} for segment in lowered.replace(b"%3b", b";").split(b"/"))
