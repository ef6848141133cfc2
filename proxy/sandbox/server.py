"""The sandbox as a server: a provider that answers without a model, says so, and costs nothing.

It speaks OpenAI chat completions, Anthropic messages and MiniMax's native chat under any path prefix, so that it can
stand behind every built-in provider. The dialects decide what is said; this module only reads and sends.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import msgspec
from aiohttp import web

from proxy.sandbox import anthropic_messages, minimax_chat, models, openai_chat
from proxy.sandbox.controls import ControlError, Controls
from proxy.sandbox.errors import anthropic_failure, openai_failure
from proxy.sandbox.exchange import Answer, Ask, plain, read_ask
from proxy.sandbox.words import MARKER, NOTICE

MAX_REQUEST_BYTES = 32 * 1024 * 1024
"""A larger request is refused with 413, as Anthropic does at the same size."""
GRACE_S = 1.0
"""How long open answers may go on once the server has been told to stop."""

Speaker = Callable[[Ask], Answer]


async def serve_sandbox(host: str, port: int, seed: int, stop: asyncio.Event, on_ready: Callable[[int], None]) -> None:
    """Serve until `stop` is set.

    Args:
        host: address to listen on.
        port: port to listen on, 0 for any free one.
        seed: answers depend on it and on the request alone.
        stop: ends the server.
        on_ready: called with the port once connections are accepted.

    Raises:
        OSError: the address cannot be listened on.
    """
    app = web.Application(client_max_size=MAX_REQUEST_BYTES)
    app.router.add_route("*", "/{path:.*}", _Desk(seed, stop).serve)
    # A client that leaves must end its answer, or a stall would outlive everybody who waits for it.
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=GRACE_S)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        on_ready(runner.addresses[0][1])
        await stop.wait()
    finally:
        await runner.cleanup()


class _Desk:
    """Where the requests come in."""

    def __init__(self, seed: int, stop: asyncio.Event) -> None:
        self._seed = seed
        self._stop = stop

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        try:
            answer, controls = await self._answer(request)
        except ControlError as wrong:
            answer, controls = _refusal(request.path, 400, str(wrong)), Controls()
        except web.HTTPRequestEntityTooLarge:
            words = f"the body is larger than {MAX_REQUEST_BYTES} bytes"
            answer, controls = _refusal(request.path, 413, words), Controls()
        await self._pause(controls.ttfb_ms)
        return await self._send(request, answer, controls)

    async def _answer(self, request: web.Request) -> tuple[Answer, Controls]:
        method, path = request.method, request.path
        speaker = _speaker(method, path)
        if isinstance(speaker, Answer):
            return speaker, Controls()
        body = {} if method in ("GET", "HEAD") else _object(await request.read())
        if body is None:
            return _refusal(path, 400, "the body is not a JSON object"), Controls()
        ask = read_ask(path, request.headers, body, self._seed)
        return speaker(ask), ask.controls

    async def _send(self, request: web.Request, answer: Answer, controls: Controls) -> web.StreamResponse:
        response = web.StreamResponse(status=answer.status, headers={**answer.headers, "server": "taximeter-sandbox"})
        if answer.streaming:
            response.enable_chunked_encoding()
        else:
            response.content_length = answer.length_bytes
        # A client that has left needs no more of its answer; nobody is to be told.
        with contextlib.suppress(ConnectionResetError):
            await response.prepare(request)
            for place, part in enumerate(answer.parts):
                if place:
                    await self._pause(controls.pace_ms)
                await response.write(part)
        if answer.ending == "stall":
            await self._stop.wait()
        if answer.ending != "clean" and request.transport is not None:
            # Closed, not aborted: what was written still arrives, and then the end that should not be there.
            request.transport.close()
        return response

    async def _pause(self, wait_ms: float) -> None:
        if wait_ms > 0 and not self._stop.is_set():
            await asyncio.sleep(wait_ms / 1000)


_SPEAKERS: tuple[tuple[str, Speaker], ...] = (
    ("/text/chatcompletion_v2", minimax_chat.answer_native),
    ("/messages/count_tokens", anthropic_messages.answer_count),
    ("/messages", anthropic_messages.answer),
    (
        "/chat/completions",
        lambda ask: minimax_chat.answer(ask) if ask.flavour == "minimax" else openai_chat.answer(ask),
    ),
)
"""End of a POST path -> who answers it; the first that fits."""


def _speaker(method: str, path: str) -> Speaker | Answer:
    """Who answers a path, or the answer itself where nobody does."""
    if "/models" in path and method in ("GET", "HEAD"):
        return models.answer_models
    for ending, speaker in _SPEAKERS:
        if path.endswith(ending):
            return speaker if method == "POST" else _refusal(path, 405, f"{method} is not answered here, POST is")
    if path == "/" and method == "GET":
        known = [f"POST ...{ending}" for ending, _ in _SPEAKERS]
        return plain(200, {}, {"taximeter_sandbox": f"{MARKER} {NOTICE}", "answers": [*known, "GET .../models"]})
    return _refusal(path, 404, f"the sandbox has no answer to {method} {path}")


def _object(body: bytes) -> dict[str, Any] | None:
    """The JSON object of a body; None for anything else."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _refusal(path: str, status: int, message: str) -> Answer:
    """A refusal of the sandbox's own, in the envelope that the path's clients read."""
    words = f"{MARKER} {message}"
    kind = str(status) if status in (404, 413) else "400"
    failure = anthropic_failure(kind, "req_sandbox", words) if "/messages" in path else openai_failure(kind, words)
    return plain(status, {}, failure.body)
