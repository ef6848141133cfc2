"""Live demo traffic: an imaginary company whose teams call several providers through the proxy, day and night.

Every call is made against the sandbox behind the proxy: the header `x-sandbox` carries how long and how fast the
answer is to be, and what is to go wrong with it.
"""

import asyncio
import contextlib
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import aiohttp
import msgspec

from proxy.sandbox.company import APPS, App
from proxy.sandbox.words import Draw

DAY_S = 120.0
"""Length of the traffic's day: one calm and one busy hour within two minutes, begun in the morning."""
MAX_OPEN_CALLS = 200
"""Calls under way at the same time; beyond them a call is left out, as a demo must never become a load test."""

_RETRY_S = 0.5
_LONGEST_CALL_S = 120.0


class PlannedCall(msgspec.Struct, frozen=True, kw_only=True):
    """One call, decided down to the bytes before anything is sent."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    leaves_after_s: float | None = None
    """The client loses patience after so long; None waits for the end."""


_TOOL_SCHEMA = {"type": "object", "properties": {"query": {"type": "string"}, "limit": {"type": "integer"}}}
_TROUBLES = (
    *("error=429",) * 4,
    *("error=overloaded",) * 3,
    *("error=500",) * 2,
    *("error=context",) * 2,
    "error=404",
    "error=quota",
    "error=filter",
    "error=stream:overloaded",
    "cut",
    "no_usage",
)
_MINIMAX_TROUBLES = ("error=base:1002", "error=base:1008", "error=stream:1027", "error=base:2056", "error=base:1026")
_TROUBLE_SHARE_PERCENT = 6
_IMPATIENT_PERCENT = 3


async def run_traffic(base_url: str, seed: int, stop: asyncio.Event, rate_per_s: float) -> Counter[str]:
    """Call through the proxy until `stop` is set; what is under way then is broken off.

    Args:
        base_url: of the proxy's data port, without a slash at its end.
        seed: the same seed makes the same calls in the same order.
        stop: ends the traffic.
        rate_per_s: calls a second at the busiest hour.

    Returns:
        What became of the calls: `answered`, `refused` (a status from 400), `broken`, `left` (the client did),
        `unreachable`, `skipped`.
    """
    outcomes: Counter[str] = Counter()
    loop = asyncio.get_running_loop()
    started_s = loop.time()
    under_way: set[asyncio.Task[None]] = set()
    timeout = aiohttp.ClientTimeout(total=_LONGEST_CALL_S)
    async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as session:
        for call, pause_s in plan(seed, rate_per_s):
            known_unreachable = outcomes["unreachable"]
            if await _stopped(stop, pause_s / rhythm(loop.time() - started_s)):
                break
            if outcomes["unreachable"] > known_unreachable and await _stopped(stop, _RETRY_S):
                break
            if len(under_way) >= MAX_OPEN_CALLS:
                outcomes["skipped"] += 1
                continue
            task = asyncio.create_task(_make(session, base_url, call, outcomes))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
    return outcomes


def plan(seed: int, rate_per_s: float) -> Iterator[tuple[PlannedCall, float]]:
    """The calls in their order, each with the pause before it in seconds at the busiest hour. It has no end."""
    draw = Draw(seed, "traffic")
    places = [place for place, app in enumerate(APPS) for _ in range(app.weight)]
    number = 0
    while True:
        # Callers who know nothing of each other: the pauses between their calls are exponential.
        chance = draw.between(1, 1_000_000) / 1_000_000
        app = APPS[places[draw.between(0, len(places) - 1)]]
        yield _call(app, draw.fork("call", number), number), -math.log(chance) / rate_per_s
        number += 1


def rhythm(elapsed_s: float) -> float:
    """How busy the company is, from 0.25 at night to 1 in the afternoon; the traffic begins in the morning."""
    return 0.625 + 0.375 * math.sin(2 * math.pi * elapsed_s / DAY_S)


def _call(app: App, draw: Draw, number: int) -> PlannedCall:
    user = app.users[draw.between(0, len(app.users) - 1)]
    streaming = draw.between(1, 100) <= app.streaming * 100
    body = {**_body(app, draw), **app.extra}
    if streaming:
        body["stream"] = True
    else:
        body.pop("stream_options", None)
    tokens = draw.between(*app.output_tokens)
    # Two tokens to an event, as providers do under load; a whole answer takes its time before its head.
    wait_ms = draw.between(*app.ttfb_ms) + (0 if streaming else app.pace_ms * tokens)
    wishes = [f"ttfb_ms={wait_ms}", f"pace_ms={2 * app.pace_ms}", "chunk_tokens=2", f"tokens={tokens}"]
    if draw.between(1, 100) <= _TROUBLE_SHARE_PERCENT:
        troubles = _MINIMAX_TROUBLES if app.path.startswith("/minimax/") and draw.between(0, 1) else _TROUBLES
        wishes.append(_pick(draw, troubles))
    key = "bad" if draw.between(1, 200) == 1 else f"demo-{app.team}"
    claude = {"x-api-key": key, "anthropic-version": "2023-06-01"}
    headers = {
        **(claude if _is_claude(app) else {"authorization": f"Bearer {key}"}),
        "x-sandbox": ",".join(wishes),
        "x-taximeter-team": app.team,
        "x-taximeter-project": app.project,
        "x-taximeter-user": user,
        "x-taximeter-session": f"{user}-{number // 50}",
    }
    if app.tags:
        headers["x-taximeter-tags"] = app.tags
    impatient = draw.between(1, 100) <= _IMPATIENT_PERCENT
    leaves_after_s = draw.between(100, 1500) / 1000 if impatient else None
    return PlannedCall(path=app.path, headers=headers, body=body, leaves_after_s=leaves_after_s)


def _is_claude(app: App) -> bool:
    return app.path.endswith("/messages")


def _body(app: App, draw: Draw) -> dict[str, Any]:
    prompt: list[str] = []
    wanted = draw.between(*app.prompt_words)
    while len(prompt) < wanted:
        prompt += draw.sentence().split()
    question = {"role": "user", "content": " ".join(prompt)}
    system = f"You are {app.project}, an app of an imaginary company."
    body: dict[str, Any] = {"model": app.model}
    if _is_claude(app):
        body |= {"max_tokens": 4096, "system": system, "messages": [question]}
        if app.offers_tools and draw.between(0, 1):
            body["tools"] = [{"name": "look_up", "input_schema": _TOOL_SCHEMA}]
        return body
    if app.model == "M2-her":
        persona = {"role": "user_system", "content": "A traveller in from the rain."}
        return body | {"messages": [{"role": "system", "content": system}, persona, question]}
    body["messages"] = [{"role": "system", "content": system}, question]
    if app.offers_tools and draw.between(0, 1):
        body["tools"] = [{"type": "function", "function": {"name": "look_up", "parameters": _TOOL_SCHEMA}}]
    return body


def _pick(draw: Draw, options: Sequence[str]) -> str:
    return options[draw.between(0, len(options) - 1)]


async def _make(session: aiohttp.ClientSession, base_url: str, call: PlannedCall, outcomes: Counter[str]) -> None:
    try:
        async with (
            asyncio.timeout(call.leaves_after_s),
            session.post(base_url + call.path, json=call.body, headers=call.headers) as response,
        ):
            async for _ in response.content.iter_any():
                pass
            outcomes["answered" if response.status < 400 else "refused"] += 1
    except aiohttp.ClientConnectorError:
        outcomes["unreachable"] += 1
    except aiohttp.ClientError:
        outcomes["broken"] += 1
    except TimeoutError:
        outcomes["left"] += 1


async def _stopped(stop: asyncio.Event, within_s: float) -> bool:
    """Wait so long, or until `stop` is set; whether it is."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            await stop.wait()
    return stop.is_set()
