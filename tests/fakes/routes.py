"""Routes written by hand, and what two chat providers say."""

import json

from policies.compiled import CompiledPolicies
from policies.routes_compiled import RetryRule, Route, RouteTarget, Routing
from proxy.settings import ProviderSettings
from tests.fakes.settings import provider

USAGE = {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30}
CHAT = b"/a/v1/chat/completions"
ASK = b'{"model":"m","messages":[{"role":"user","content":"hi"}]}'
ASK_STREAM = b'{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}'


def answer(body: bytes, status: bytes = b"200 OK", content_type: bytes = b"application/json", *lines: bytes) -> bytes:
    head = [b"HTTP/1.1 " + status, b"Content-Type: " + content_type, b"Content-Length: %d" % len(body), *lines]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


def said(text: str, **more: object) -> bytes:
    message = {"role": "assistant", "content": text}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    return json.dumps({"id": "x", "model": "m", "choices": choices, "usage": USAGE, **more}).encode()


def event(value: object) -> bytes:
    return b"data: %b\n\n" % (value if isinstance(value, bytes) else json.dumps(value).encode())


def delta(text: str | None, **more: object) -> bytes:
    piece = {"role": "assistant"} if text is None else {"content": text}
    return event({"id": "x", "model": "m", "choices": [{"index": 0, "delta": piece, **more}]})


def streamed(*texts: str) -> bytes:
    parts = [delta(None), *(delta(text) for text in texts), delta("", finish_reason="stop")]
    return b"".join([*parts, event({"id": "x", "model": "m", "choices": [], "usage": USAGE}), event(b"[DONE]")])


STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunks(*pieces: bytes, ends: bool = True) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + (b"0\r\n\r\n" if ends else b"")


def two_targets(first: str, second: str, *, key: str | None = "operator-key-2") -> tuple[ProviderSettings, ...]:
    """Providers `a`, that apps ask, and `b`, behind it."""
    return provider("a", first), provider("b", second, api_key=key)


def routed(*models: tuple[str, str | None], outcomes=(), **fields: object) -> CompiledPolicies:
    """Policies with one route to these targets (provider, model), one tier each."""
    targets = tuple(
        RouteTarget(id=f"{name}/{model or '*'}", provider=name, model=model, tier=tier)
        for tier, (name, model) in enumerate(models or (("a", None), ("b", "other")))
    )
    values: dict[str, object] = {"retry": RetryRule(tries_each=1)} | fields
    return CompiledPolicies(
        routing=Routing(routes=(Route(name="r", targets=targets, **values),), outcomes=outcomes), hash="routes"
    )
