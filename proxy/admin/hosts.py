"""Whom the admin port answers: a check of the Host header against DNS rebinding.

A page on the web can have its own host name resolve to 127.0.0.1 and then read the admin port as if it were its own
site. Such a request names the attacker's host. An IP address cannot be rebound, so every address is fine.
"""

import ipaddress
from collections.abc import Iterable

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware


def host_is_ours(header: str, names: Iterable[str]) -> bool:
    """Whether a Host header names this machine: an IP address, `localhost`, or one of `names` (lower case)."""
    host = header.strip().lower()
    if host.startswith("["):
        host = host.partition("]")[0][1:]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    host = host.removesuffix(".")
    if host in {"localhost", *names} or host.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def host_check(names: Iterable[str]) -> Middleware:
    """A middleware that answers 421 to requests that were meant for another host."""
    known = frozenset(names)

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not host_is_ours(request.headers.get("Host", ""), known):
            text = "Taximeter's admin port does not answer under this host name; `admin_hosts` lists more names.\n"
            return web.Response(status=421, text=text)
        return await handler(request)

    return check
