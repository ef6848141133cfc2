"""The web app of the admin port. It tells and never changes anything."""

import asyncio
from collections.abc import Awaitable, Callable
from html import escape
from typing import Any

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from proxy.admin.hosts import host_check
from proxy.admin.status import Status
from proxy.settings import Listen

StatusSource = Callable[[], Awaitable[Status]]
MetricsSource = Callable[[str], Awaitable[tuple[bytes, str]]]
"""`metrics(accept)`: body and content type for an `Accept` header."""

_GRACE_S = 2.0


def admin_app(
    status: StatusSource, *, metrics: MetricsSource | None = None, hosts: tuple[str, ...] = ()
) -> web.Application:
    """The app.

    Args:
        status: Asked for every request that needs it.
        metrics: What `/metrics` answers; without it there is no such page.
        hosts: Names that it answers under.
    """
    app = web.Application(middlewares=[host_check(hosts)])
    pages = _Pages(status)
    if metrics is not None:
        app.router.add_get("/metrics", _metrics_page(metrics))
    app.router.add_get("/", pages.index)
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

    async def index(self, _: web.Request) -> web.Response:
        """A page for people who came to look."""
        return web.Response(text=_page(await self._status()), content_type="text/html", headers=_PAGE_HEADERS)


def not_ready(status: Status) -> list[str]:
    """Why the Taximeter as a whole cannot do its work just now; empty when it can."""
    reasons = [f"{p['name']} is {p['state']}" for p in status.processes if p["state"] != "ready"]
    if not status.store.reachable:
        reasons.append(f"the store cannot be reached: {status.store.error}")
    return reasons


_PAGE_HEADERS = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"}
_STYLE = "body{font:16px/1.5 system-ui;margin:2rem;max-width:60rem}td,th{padding:.2rem 1rem .2rem 0;text-align:left}"


def _page(status: Status) -> str:
    lines = [
        ("Data", status.listen),
        ("Store", f"{status.store.url} ({'reachable' if status.store.reachable else 'not reachable'})"),
        ("Data folder", status.data_dir),
        ("Journal", f"{status.journal.segments} segments to deliver, {status.journal.lag_s:.1f} s behind"),
        ("Losses", ", ".join(f"{n} {reason}" for reason, n in sorted(status.journal.losses.items())) or "none"),
    ]
    facts = "".join(f"<tr><th>{escape(name)}</th><td>{escape(said)}</td></tr>" for name, said in lines)
    processes = "".join(
        f"<tr><td>{escape(str(p['name']))}</td><td>{escape(str(p['state']))}</td><td>{escape(str(p['pid']))}</td></tr>"
        for p in status.processes
    )
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>Taximeter</title><style>{_STYLE}</style>"
        f"<h1>Taximeter {escape(status.version)}</h1><table>{facts}</table>"
        f"<h2>Processes</h2><table><tr><th>Name</th><th>State</th><th>Pid</th></tr>{processes}</table>"
        "<p><a href=/status>status</a> <a href=/metrics>metrics</a> <a href=/healthz>healthz</a> "
        "<a href=/readyz>readyz</a></p></html>\n"
    )


def _json(body: Any, status: int = 200) -> web.Response:
    data = msgspec.json.encode(body)
    return web.Response(
        body=data, status=status, content_type="application/json", headers={"Cache-Control": "no-store"}
    )
