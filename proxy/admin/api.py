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
_ONCE = ("since", "until", "tz", "by", "limit")


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
        """A report; `asked` has the fields of `exporters.reports.answers.Asked`, the format is `json` or `csv`."""

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
        """`/api/reports/NAME?since=&until=&tz=&by=&where=&limit=&format=`."""
        query = request.query
        unknown = sorted(set(query) - {*_ONCE, "where", "format"})
        answer_format = query.get("format", "json")
        limit = query.get("limit")
        if unknown:
            return problem(400, "question", f"Unknown: {', '.join(unknown)}.")
        if answer_format not in {"json", "csv"}:
            return problem(400, "question", "format is json or csv.")
        if limit is not None and not (limit.isascii() and limit.isdigit() and 0 < int(limit[:9]) == int(limit)):
            return problem(400, "question", "limit is a number of rows.")
        asked: dict[str, Any] = {"name": request.match_info["name"], "since": query.get("since", "7d")}
        asked |= {name: query[name] for name in ("until", "tz", "by") if query.get(name)}
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
        charset="utf-8",
        headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"},
    )
    response.enable_compression()
    return response
