"""What a provider is to the proxy: plain data and three pure questions."""

from collections.abc import Callable

import msgspec

from proxy.core.errors import ErrorClass, ErrorSeen
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


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of upstream. `PROVIDERS` lists them all; a configured provider names the kind it behaves like."""

    kind: str
    base_urls: dict[str, str]
    """Built-in provider name -> base URL; empty where the operator has to say (Azure)."""
    credential_header: str
    """Lower-case name of the header that carries the provider's key."""
    credential_scheme: str = ""
    """`Bearer ` where the header wants one, else empty."""
    currencies: dict[str, str] = {}
    """Host -> currency (ISO 4217) of its bill; every other host bills in USD."""
    request_id_headers: tuple[str, ...] = ()
    """Lower-case response headers that hold the provider's request id, best first."""
    route: Callable[[str, str], Route]
    """`route(method, path)`: what this path is. The path starts with `/` and has no query."""
    classify: Callable[[ErrorSeen], ErrorClass]
    """The class of an error of this provider."""
    amend: Callable[[RequestFacts, ResponseFacts], ResponseFacts] | None = None
    """Corrects facts that only this provider words differently (Gemini's hidden thinking); None when nothing does."""
    injects_usage: Callable[[str, str], bool] | None = None
    """`injects_usage(path, query)`: whether it accepts `stream_options.include_usage` there; None when it never does."""
    keeps_null_usage: bool = False
    """True when its chunks carry `"usage":null` without having been asked for usage (MiniMax)."""
