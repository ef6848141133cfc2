"""Whether a request may come from where it comes: pages of the web have no business with the store. PURE.

A page can make a browser send requests to 127.0.0.1, and can have its own host name resolve to it (DNS rebinding). The
first shows in `Origin` and `Sec-Fetch-Site`, the second in `Host`: nobody can make an address or a name without a dot
resolve elsewhere. Source: Fetch standard, "Origin header"; W3C Fetch Metadata.
"""

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit


def refusal(headers: Mapping[str, str], own_host: str) -> str | None:
    """Why a request is refused, or None. `own_host` is the name in the store's own URL."""
    host = headers.get("Host", "")
    if host and not _is_ours(_name(host), own_host):
        return "this store does not answer under that host name"
    origin = headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
        return "pages of other sites may not talk to this store"
    if headers.get("Sec-Fetch-Site", "none") not in {"none", "same-origin"}:
        return "pages of other sites may not talk to this store"
    return None


def _name(host: str) -> str:
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].removesuffix(".")


def _is_ours(name: str, own_host: str) -> bool:
    if name == own_host.lower() or name.endswith(".localhost") or (name and "." not in name and ":" not in name):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
