"""One request as the dialects see it, and the answer they give: values, no sockets.

`Ask` is what came in, less the controls; `Answer` is what goes out, cut into the parts that are sent one after another.
"""

import gzip
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from proxy.sandbox.controls import Controls, take_controls
from proxy.sandbox.errors import Failure
from proxy.sandbox.words import NOTICE, NOTICE_HEADER, Draw

Flavour = Literal["openai", "azure", "deepseek", "openrouter", "anthropic", "minimax"]
"""Whose habits the answer has, beside its dialect."""
Ending = Literal["clean", "cut", "stall"]

_BY_PREFIX: dict[str, Flavour] = {
    "minimax": "minimax",
    "minimax-cn": "minimax",
    "deepseek": "deepseek",
    "azure": "azure",
    "openai": "openai",
    "gemini": "openai",
    "openrouter": "openrouter",
    "llmapi": "openai",
}
_BY_MODEL: tuple[tuple[str, Flavour], ...] = (("minimax-", "minimax"), ("m2-her", "minimax"), ("deepseek-", "deepseek"))
_STUMP_BYTES = 64
"""Longer than an event's name and the beginning of its data, shorter than any event in the middle of a stream."""
_RETRYABLE = frozenset({408, 429, 500, 503, 529})
_HURRIED = frozenset({429, 503, 529})
"""Statuses that come with `retry-after`; MiniMax documents none."""


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """One request, read and stripped of its controls."""

    path: str
    headers: Mapping[str, str]
    """Under lower-case names (or in a mapping that ignores case)."""
    body: dict[str, Any]
    controls: Controls
    flavour: Flavour
    draw: Draw
    """Depends on the seed and on what is asked, not on how it is to be delivered (`stream`, `stream_options`)."""

    @property
    def model(self) -> str:
        """The model asked for, empty when there is none."""
        model = self.body.get("model")
        return model if isinstance(model, str) else ""

    @property
    def streaming(self) -> bool:
        """Whether a stream was asked for."""
        return self.body.get("stream") is True

    @property
    def key_is_bad(self) -> bool:
        """Whether the credential is the one that is refused: a key named `bad`. Every other key, and none, is good."""
        named = ("authorization", "x-api-key", "api-key", "x-goog-api-key")
        return any(self.headers.get(name, "").removeprefix("Bearer ") == "bad" for name in named)

    @property
    def created(self) -> int:
        """The answer's own time in Unix seconds: drawn, so that a run can be repeated byte for byte."""
        return 1_790_000_000 + self.draw.fork("created").between(0, 9_999_999)


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """One answer, ready to be sent part by part."""

    status: int
    headers: dict[str, str]
    parts: tuple[bytes, ...]
    """What is written, in order, with a pause between two of them."""
    streaming: bool = False
    """Sent chunked, without a length."""
    length_bytes: int = 0
    """The content length of a whole body; more than the parts hold when it is cut or stalls."""
    ending: Ending = "clean"


def read_ask(path: str, headers: Mapping[str, str], body: dict[str, Any], seed: int) -> Ask:
    """The request as the dialects see it.

    Args:
        path: the decoded path; Azure's names the model.
        headers: request headers under lower-case names.
        body: the decoded JSON object.
        seed: the run's seed.

    Raises:
        ControlError: a control that is unknown or wrong.
    """
    segments = path.strip("/").split("/")
    if "deployments" in segments[:-1] and not body.get("model"):
        body = {**body, "model": segments[segments.index("deployments") + 1]}
    plain, controls = take_controls(body, headers)
    asked = {key: value for key, value in plain.items() if key not in {"stream", "stream_options"}}
    return Ask(
        path=path,
        headers=headers,
        body=plain,
        controls=controls,
        flavour=_flavour(segments, str(plain.get("model") or "")),
        draw=Draw(seed, msgspec.json.encode(asked, order="deterministic")),
    )


def _flavour(segments: Sequence[str], model: str) -> Flavour:
    if segments[0] in _BY_PREFIX and not (segments[0] == "openai" and "deployments" in segments):
        return _BY_PREFIX[segments[0]]
    if "deployments" in segments:
        return "azure"
    if segments[:2] == ["api", "v1"]:
        return "openrouter"
    for start, flavour in _BY_MODEL:
        if model.lower().startswith(start):
            return flavour
    return "anthropic" if "messages" in segments else "openai"


def whole(ask: Ask, headers: Mapping[str, str], value: Any) -> Answer:
    """A whole body with status 200, with the faults that were asked for."""
    body = b"" if ask.controls.empty else encode(value)
    if ask.controls.malformed:
        body = body[: len(body) * 2 // 3]
    heads = {"content-type": "application/json", **headers}
    if ask.controls.gzip:
        body = gzip.compress(body, mtime=0)
        heads["content-encoding"] = "gzip"
    ending = _ending(ask.controls)
    parts = (body,) if ending == "clean" else (body[: len(body) // 2],)
    return Answer(status=200, headers=_honest(heads), parts=parts, length_bytes=len(body), ending=ending)


def stream(
    ask: Ask,
    headers: Mapping[str, str],
    events: Sequence[bytes],
    closing: Sequence[bytes] = (),
    failure: bytes | None = None,
) -> Answer:
    """A stream of events with status 200, with the faults that were asked for.

    Args:
        ask: the request.
        headers: of the answer.
        events: complete SSE events, in order: what is said, to the end of it.
        closing: events that come after it (usage, end marker). They do not count when half of a stream is meant, so
            that a fault stands at the same place whether usage is asked for or not.
        failure: the event that ends the stream after half of the events; None lets it end well.
    """
    parts = [] if ask.controls.empty else [*events, *closing]
    half = max(1, len(events) // 2)
    if failure is not None:
        parts = [*parts[:half], failure]
    if ask.controls.malformed and parts:
        # The event in the middle comes twice, at first only the beginning of it.
        parts.insert(half, parts[half - 1][:_STUMP_BYTES] + b"\n\n")
    ending = _ending(ask.controls)
    if ending != "clean":
        parts = parts[:half]
    heads = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache", **headers}
    if ask.controls.gzip:
        parts = _zipped(parts, finish=ending == "clean")
        heads["content-encoding"] = "gzip"
    return Answer(status=200, headers=_honest(heads), parts=tuple(parts), streaming=True, ending=ending)


def refuse(ask: Ask, headers: Mapping[str, str], failure: Failure) -> Answer:
    """An error as a whole body, also where a stream was asked for."""
    heads = dict(headers)
    wait_ms = ask.controls.retry_after_ms
    if wait_ms is not None and failure.status in _RETRYABLE:
        heads |= {"retry-after": str(-(-wait_ms // 1000)), "retry-after-ms": str(wait_ms)}
    elif failure.status in _HURRIED and ask.flavour != "minimax":
        heads["retry-after"] = "1"
    return plain(failure.status, heads, failure.body)


def plain(status: int, headers: Mapping[str, str], value: Any) -> Answer:
    """A whole JSON body without any fault."""
    body = encode(value)
    heads = {"content-type": "application/json", **headers}
    return Answer(status=status, headers=_honest(heads), parts=(body,), length_bytes=len(body))


def encode(value: Any) -> bytes:
    """A value as compact JSON, members in the order they were put in."""
    return msgspec.json.encode(value)


def event(value: Any, *, name: str | None = None, padding: str = "") -> bytes:
    """One SSE event with JSON data, its name before it where the dialect names events."""
    line = b"data: " + encode(value) + padding.encode() + b"\n\n"
    return line if name is None else f"event: {name}\n".encode() + line


def batches(tokens: Sequence[str], size: int) -> list[str]:
    """Tokens joined by `size`: the texts of a stream's events."""
    step = max(1, size)
    return ["".join(tokens[at : at + step]) for at in range(0, len(tokens), step)]


def _ending(controls: Controls) -> Ending:
    return "cut" if controls.cut else "stall" if controls.stall else "clean"


def _honest(headers: dict[str, str]) -> dict[str, str]:
    return {**headers, NOTICE_HEADER: NOTICE}


def _zipped(parts: Sequence[bytes], *, finish: bool) -> list[bytes]:
    """Each part as a piece of one gzip stream that can be decoded as soon as it arrives."""
    press = zlib.compressobj(wbits=31)
    pieces = [press.compress(part) + press.flush(zlib.Z_SYNC_FLUSH) for part in parts]
    return [*pieces, press.flush()] if finish else pieces
