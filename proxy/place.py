"""Where a request goes: the first segment of its path names a provider, the rest goes there byte for byte.

Invariant kept here: no request ever goes to a host that is not configured. Host and base path come from the settings,
only path and query from the app.
"""

from collections.abc import Mapping
from typing import Literal

import msgspec

from proxy.blanks import Blanks, blanks
from proxy.core.facts import Dialect
from proxy.core.identity import VIRTUAL_PREFIX
from proxy.core.query import keys_of, without_keys
from proxy.downstream.known_heads import KnownHead
from proxy.providers import PROVIDERS, find_provider
from proxy.providers.base import Route
from proxy.replies import Reply
from proxy.request_head import Fields, SharedHead, share
from proxy.upstream.keys import UpstreamKey
from proxy.upstream.provider import Upstream

_BUILT_IN = frozenset(name for provider in PROVIDERS for name in (provider.kind, *provider.base_urls))
_PREFIX = VIRTUAL_PREFIX.decode()
_ANY_ROUTE = find_provider("openai_compatible").route


ByModel = Literal["no", "may", "must"]
"""Whether the model in the body says which provider a call goes to: `must` where the path names none."""


class Place(msgspec.Struct, frozen=True):
    """Where requests with the same head go: what depends on nothing else."""

    upstream: Upstream
    method: str
    raw_path: bytes
    query: bytes
    """With its question mark, as it came."""
    bare_query: bytes
    """The same without the app's key, for a provider that gets another one."""
    path: str
    route: Route
    dialect_name: str
    """Of the dialect that reads the bodies; empty when nobody does."""
    shared: SharedHead
    billing: str
    """How calls with the app's own key are paid for, where that tells."""
    blanks: Blanks
    made: dict[str, bytes] = {}
    """Starts of heads that were made before, by the name of their provider key."""
    by_model: ByModel = "no"
    lists_models: bool = False
    """Whether it is answered here, with what the caller may ask for."""
    moved: dict[str, "Place"] = {}
    """Where such requests go instead, by provider, as far as one asked for it (`proxy.unified`)."""

    def start(self, key: UpstreamKey | None) -> bytes:
        """The request line and the header lines that all calls have in common, for the provider.

        Args:
            key: Of the operator's; None lets the app's own pass.
        """
        name = "" if key is None else key.name
        start = self.made.get(name)
        if start is None:
            start = self.made[name] = self._start(key)
        return start

    def _start(self, key: UpstreamKey | None) -> bytes:
        origin = self.upstream.origin
        query, credential = self.query, None
        if key is not None:
            query, credential = self.bare_query, self.upstream.kind.credential(self.path, key.secret)
        line = b"%b %b%b%b HTTP/1.1\r\n" % (self.method.encode("ascii"), origin.prefix, self.raw_path, query)
        return b"%bHost: %b\r\n%b" % (line, origin.host_header, self.shared.lines(credential))


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
        return place_at(upstream, head.method, (slash or b"/") + rest, mark + query, head.fields)

    def _unknown(self, name: str) -> str:
        if name in _BUILT_IN:
            return (
                f"provider {name} is not set up here; give it a base URL under providers.{name}.base_url "
                "(azure: or in AZURE_OPENAI_ENDPOINT)"
            )
        return f"no provider has this name; the path must begin with one of: {self._names}"


def place_at(upstream: Upstream, method: str, raw_path: bytes, query: bytes, fields: Fields) -> Place:
    """The place of a path of a provider.

    Args:
        upstream: The provider.
        method: Of the request.
        raw_path: Below the provider's base URL.
        query: With its question mark, as it came.
        fields: The header fields, less those that vary.
    """
    known_path = str(raw_path, "utf-8", "replace")
    route = upstream.route(method, known_path)
    dialect_name = route.dialect.name if route.dialect is not None else ""
    bare_query, query_keys = query, tuple[str, ...]()
    if len(query) > 1:
        text, parameter = str(query[1:], "latin-1"), upstream.kind.credential_query
        query_keys = keys_of(text, parameter, _PREFIX)
        if query_keys:
            bare_query = _marked(without_keys(text, parameter, _PREFIX))
    shared = share(fields, *query_keys)
    return Place(
        upstream=upstream,
        method=method,
        raw_path=raw_path,
        query=query,
        bare_query=bare_query,
        path=known_path,
        route=route,
        dialect_name=dialect_name,
        shared=shared,
        billing=upstream.kind.billing(shared.identity.credential),
        blanks=blanks(
            provider=upstream.settings.name,
            kind=upstream.kind.kind,
            host=upstream.origin.host,
            dialect=dialect_name,
            operation=route.operation,
            method=method,
            path=known_path,
            billable=route.billable,
        ),
    )


def dialect_of(head: KnownHead) -> Dialect:
    """The dialect to word a refusal in where no provider was named: the one that such a path usually speaks."""
    path = str(head.target.partition(b"?")[0], "utf-8", "replace")
    return _ANY_ROUTE(head.method, path).error_dialect


def _leaves_prefix(rest: bytes) -> bool:
    lowered = rest.lower().replace(b"%2e", b".").replace(b"%2f", b"/").replace(b"\\", b"/").replace(b"%5c", b"/")
    # What follows a semicolon is no part of a segment to servers that know path parameters (RFC 3986, 3.3).
    return any(segment.partition(b";")[0] in {b"..", b"."} for segment in lowered.replace(b"%3b", b";").split(b"/"))


def _marked(query: str) -> bytes:
    return f"?{query}".encode("latin-1") if query else b""
