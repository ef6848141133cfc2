"""What a provider is to the proxy: plain data and three pure questions."""

from collections.abc import Callable

import msgspec

from proxy.core.errors import ErrorClass, ErrorFacts, ErrorSeen, Remedy, judge
from proxy.core.facts import Dialect, RequestFacts, ResponseFacts


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """What a path of a provider is."""

    operation: str
    """`chat`, `embeddings`, `models`, `count_tokens`, `speech` ...; `unknown` for a path nobody described."""
    dialect: Dialect | None = None
    """Reads the bodies of this path; None where only bytes are counted."""
    error_dialect: Dialect
    """Words the proxy's own errors on this path."""
    billable: bool = True
    """False for calls that cost nothing by the provider's own word."""
    model: str | None = None
    """The model where the path names it (Azure deployments, Gemini)."""
    streaming: bool = False
    """Whether the path itself asks for a stream (Gemini's `:streamGenerateContent`)."""


_NO_KEY = b"\0"
"""Begins no key: a header cannot hold it."""


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of upstream. `PROVIDERS` lists them all; a configured provider names the kind it behaves like."""

    kind: str
    base_urls: dict[str, str]
    """Built-in provider name -> base URL; empty where the operator has to say (Azure)."""
    credential_header: str
    """Lower-case name of the header that carries the provider's key."""
    credential_scheme: str = ""
    """`Bearer ` where the header wants one, else empty."""
    takes_bearer: Callable[[str], bool] | None = None
    """`takes_bearer(path)`: whether the key goes into `Authorization: Bearer` there instead; None when nowhere."""
    credential_query: str = ""
    """Name of the query parameter that can hold the key instead; empty where there is none."""
    currencies: dict[str, str] = {}
    """Host -> currency (ISO 4217) of its bill; every other host bills in USD."""
    request_id_headers: tuple[str, ...] = ()
    """Lower-case response headers that hold the provider's request id, best first."""
    route: Callable[[str, str], Route]
    """`route(method, path)`: what this path is. The path starts with `/` and has no query."""
    classify: Callable[[ErrorSeen], ErrorClass]
    """The class of an error of this provider."""
    remedies: dict[str, Remedy] = {}
    """Provider code -> what it allows, where that is not what its class allows."""
    amend: Callable[[RequestFacts, ResponseFacts], ResponseFacts] | None = None
    """Corrects facts that only this provider words differently (Gemini's hidden thinking); None when nothing does."""
    injects_usage: Callable[[str, str], bool] | None = None
    """`injects_usage(path, query)`: whether `stream_options.include_usage` is accepted there; None when it never is."""
    subscription_keys: tuple[bytes, ...] = ()
    """Prefixes of keys whose calls a plan pays for: their cost is a list price, not money."""
    keeps_null_usage: bool = False
    """True when its chunks carry `"usage":null` without having been asked for usage (MiniMax)."""

    def credential(self, path: str, key: str) -> tuple[str, str]:
        """Lower-case name and whole value of the header that carries `key` on this path."""
        if self.takes_bearer is not None and self.takes_bearer(path):
            return "authorization", f"Bearer {key}"
        return self.credential_header, self.credential_scheme + key

    def billing(self, key: bytes | None) -> str:
        """How calls with this key are paid for: `subscription`, or empty where the key does not tell."""
        return "subscription" if key is not None and key.startswith(self.subscription_keys or _NO_KEY) else ""

    def judge(self, seen: ErrorSeen) -> ErrorFacts:
        """An error of this provider with its class and what it allows."""
        return judge(seen, self.classify(seen), self.remedies.get(seen.code or ""))
