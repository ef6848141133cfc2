"""The JSON API behind the console, under `/api/`: what `taximeter report` and `doctor` tell, and the live tail.

Every route is a GET that changes nothing. Amounts are decimal strings with every digit, null is "not known". What can
be asked is in docs/admin-api.md; who may ask, in proxy.admin.access.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from functools import partial
from typing import Any, Protocol

import msgspec
from aiohttp import web

from proxy.admin.access import problem
from proxy.admin.findings import judge
from proxy.admin.live import Live
from proxy.admin.status import Status

_MAX_QUESTIONS = 3
"""Questions that are put to the store at once; more of them wait for their turn."""
_MAX_WAITING = 50
_LONGEST_ID = 128
_ONCE = ("since", "until", "month", "tz", "by", "limit", "compare", "part")
FORMATS = ("json", "csv", "parquet", "xlsx", "html")

_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_PAPER = "default-src 'none'; style-src 'unsafe-inline'; sandbox"


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a question came to."""

    body: bytes = b""
    content_type: str = "application/json"
    problem: str = ""
    """One sentence; empty when all is well."""
    status: int = 200


class Source(Protocol):
    """Whoever knows the figures: `proxy.app_console`. Everything blocks, and is called in a thread."""

    def report(self, asked: dict[str, Any], answer_format: str) -> Answer:
        """A report; `asked` has the fields of `exporters.reports.answers.Asked`, the format is one of `FORMATS`."""

    def call(self, call_id: str, tz: str) -> Answer:
        """One call as a whole."""

    def budgets(self) -> Answer:
        """How full the budgets are."""

    def targets(self) -> Answer:
        """The providers that calls go to, and how they stand."""


def add_api(app: web.Application, source: Source, status: Callable[[], Awaitable[Status]], live: Live) -> None:
    """The routes."""
    api = _Api(source, status)
    router = app.router
    router.add_get("/api/live", live.stream, allow_head=False)
    router.add_get("/api/reports/{name}", api.report)
    router.add_get("/api/calls/{call_id}", api.call)
    router.add_get("/api/budgets", api.budgets)
    router.add_get("/api/targets", api.targets)
    router.add_get("/api/health", api.health)


class _Api:
    def __init__(self, source: Source, status: Callable[[], Awaitable[Status]]) -> None:
        self._source = source
        self._status = status
        self._turns = asyncio.Semaphore(_MAX_QUESTIONS)
        self._waiting = 0

    async def report(self, request: web.Request) -> web.Response:
        """`/api/reports/NAME?since=&until=&month=&tz=&by=&where=&limit=&compare=&part=&format=`."""
        query = request.query
        unknown = sorted(set(query) - {*_ONCE, "where", "format"})
        answer_format = query.get("format", "json")
        limit = query.get("limit")
        if unknown:
            return problem(400, "question", f"Unknown: {', '.join(unknown)}.")
        if answer_format not in FORMATS:
            return problem(400, "question", f"format is one of {', '.join(FORMATS)}.")
        if query.get("compare", "0") not in {"0", "1"}:
            return problem(400, "question", "compare is 1 or 0.")
        if limit is not None and not (limit.isascii() and limit.isdigit() and 0 < int(limit[:9]) == int(limit)):
            return problem(400, "question", "limit is a number of rows.")
        asked: dict[str, Any] = {"name": request.match_info["name"]}
        asked |= {"compare": True} if query.get("compare") == "1" else {}
        asked |= {name: query[name] for name in ("since", "until", "month", "tz", "by", "part") if query.get(name)}
        asked |= {"where": query.getall("where", []), "limit": int(limit) if limit else None}
        return await self._told(partial(self._source.report, asked, answer_format))

    async def call(self, request: web.Request) -> web.Response:
        """`/api/calls/ID?tz=`."""
        call_id = request.match_info["call_id"]
        if len(call_id) > _LONGEST_ID:
            return problem(404, "unknown", "There is no call of that id.")
        return await self._told(partial(self._source.call, call_id, request.query.get("tz", "UTC")))

    async def budgets(self, _: web.Request) -> web.Response:
        """`/api/budgets`."""
        return await self._told(self._source.budgets)

    async def targets(self, _: web.Request) -> web.Response:
        """`/api/targets`."""
        return await self._told(self._source.targets)

    async def health(self, _: web.Request) -> web.Response:
        """`/api/health`: what `taximeter doctor` finds, journal and sinks."""
        status = await self._status()
        told = {
            "version": status.version,
            "at_s": status.at_s,
            "started_at_s": status.started_at_s,
            "listen": status.listen,
            "findings": [asdict(finding) for finding in judge(status)],
            "processes": status.processes,
            "journal": status.journal,
            "store": {"reachable": status.store.reachable, "embedded": status.store.embedded},
            "policies": status.policies,
        }
        return _answer(Answer(body=msgspec.json.encode(told)))

    async def _told(self, ask: Callable[[], Answer]) -> web.Response:
        if self._waiting >= _MAX_WAITING:
            return problem(503, "busy", "Too many questions at once.")
        self._waiting += 1
        try:
            async with self._turns:
                return _answer(await asyncio.to_thread(ask))
        finally:
            self._waiting -= 1


def _answer(answer: Answer) -> web.Response:
    if answer.problem:
        return problem(answer.status, "question" if answer.status == 400 else "unavailable", answer.problem)
    response = web.Response(
        body=answer.body,
        content_type=answer.content_type,
        charset="utf-8" if answer.content_type.startswith("text/") or answer.content_type.endswith("json") else None,
        # A report as a page is shown as a paper is: it runs nothing and asks nobody.
        headers=_HEADERS | ({"Content-Security-Policy": _PAPER} if answer.content_type == "text/html" else {}),
    )
    response.enable_compression()
    return response
