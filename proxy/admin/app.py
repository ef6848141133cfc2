"""The web app of the admin port. It tells and never changes anything."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from proxy.admin.access import Door, add_login, guard
from proxy.admin.api import Source, add_api
from proxy.admin.hosts import host_check
from proxy.admin.live import Live
from proxy.admin.static import add_console, assets
from proxy.admin.status import Status
from proxy.settings import Listen

StatusSource = Callable[[], Awaitable[Status]]
MetricsSource = Callable[[str], Awaitable[tuple[bytes, str]]]
"""`metrics(accept)`: body and content type for an `Accept` header."""

_GRACE_S = 2.0
_LOGIN = "/api/login"
_FREE = frozenset({_LOGIN, "/api/logout"})


class Console(msgspec.Struct, frozen=True, kw_only=True):
    """What the console page needs."""

    source: Source
    live: Live
    door: Door


def admin_app(
    status: StatusSource,
    *,
    metrics: MetricsSource | None = None,
    hosts: tuple[str, ...] = (),
    console: Console | None = None,
) -> web.Application:
    """The app.

    Args:
        status: Asked for every request that needs it.
        metrics: What `/metrics` answers; without it there is no such page.
        hosts: Names that it answers under.
        console: What is behind the page; without it there is neither the page nor its API.
    """
    checks = [host_check(hosts)]
    if console is not None:
        checks.append(guard(console.door, under="/api/", free=_FREE))
    app = web.Application(middlewares=checks)
    pages = _Pages(status)
    if metrics is not None:
        app.router.add_get("/metrics", _metrics_page(metrics))
    if console is not None:
        add_console(app, assets())
        add_login(app, console.door, _LOGIN)
        add_api(app, console.source, status, console.live)
    app.router.add_get("/healthz", pages.healthz)
    app.router.add_get("/readyz", pages.readyz)
    app.router.add_get("/status", pages.status)
    return app


async def serve_admin(listen: Listen, app: web.Application, stop: asyncio.Event, on_ready: Callable[[], None]) -> None:
    """Serve the app until `stop` is set. Raises OSError when the address cannot be listened on."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_GRACE_S)
    await runner.setup()
    try:
        await web.TCPSite(runner, listen.host, listen.port).start()
        on_ready()
        await stop.wait()
    finally:
        await runner.cleanup()


def _metrics_page(metrics: MetricsSource) -> Handler:
    async def page(request: web.Request) -> web.Response:
        body, content_type = await metrics(request.headers.get("Accept", ""))
        # The content type whole, as the library words it: it carries parameters that aiohttp has no names for.
        response = web.Response(body=body, headers={"Content-Type": content_type, "Cache-Control": "no-store"})
        response.enable_compression()
        return response

    return page


class _Pages:
    def __init__(self, status: StatusSource) -> None:
        self._status = status

    async def healthz(self, _: web.Request) -> web.Response:
        """Alive: the process answers."""
        return _json({"status": "alive"})

    async def readyz(self, _: web.Request) -> web.Response:
        """Ready: every process serves and the store can be reached. 503 with the reasons otherwise."""
        reasons = not_ready(await self._status())
        return _json({"ready": not reasons, "reasons": reasons}, status=503 if reasons else 200)

    async def status(self, _: web.Request) -> web.Response:
        """Everything that `taximeter doctor` shows."""
        return _json(await self._status())


def not_ready(status: Status) -> list[str]:
    """Why the Taximeter as a whole cannot do its work just now; empty when it can."""
    reasons = [f"{p['name']} is {p['state']}" for p in status.processes if p["state"] != "ready"]
    if not status.store.reachable:
        reasons.append(f"the store cannot be reached: {status.store.error}")
    return reasons


def _json(body: Any, status: int = 200) -> web.Response:
    data = msgspec.json.encode(body)
    return web.Response(
        body=data, status=status, content_type="application/json", headers={"Cache-Control": "no-store"}
    )
