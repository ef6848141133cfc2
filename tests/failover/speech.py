"""What three chat dialects say: good answers, errors, and streams event by event."""

import json

import msgspec

from proxy.core.errors import ErrorClass

_CHAT_USAGE = {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30}
_USAGE = {"input_tokens": 10, "output_tokens": 20}
_ASKED = [{"role": "user", "content": "hi"}]
PIECES = 12
"""Of content, in a good stream."""


class Speech(msgspec.Struct, frozen=True, kw_only=True):
    """One dialect as an app and a provider speak it."""

    name: str
    kind: str
    """Of provider that serves it."""
    path: bytes
    ask: bytes
    ask_stream: bytes
    whole: bytes
    """A good answer."""
    before: tuple[bytes, ...]
    """Events of a stream before its content."""
    pieces: tuple[bytes, ...]
    """One event of content each."""
    after: tuple[bytes, ...]
    """What ends it, end marker included."""
    hidden: tuple[bytes, ...] = ()
    """Which of those an app does not see that has not asked for usage."""
    error_whole: bytes
    error_event: bytes
    error_class: ErrorClass = "overloaded"
    """Of that error."""
    malformed: bytes
    """An event that is no JSON."""
    begun_nano: int | None = None
    """What the first event of a stream reports to have cost so far; None where usage comes last."""

    @property
    def stream(self) -> bytes:
        """A good stream as the provider sends it."""
        return b"".join((*self.before, *self.pieces, *self.after))

    @property
    def seen_stream(self) -> bytes:
        """The same as the app gets it."""
        return b"".join(one for one in (*self.before, *self.pieces, *self.after) if one not in self.hidden)


def _event(value: object, name: str = "") -> bytes:
    head = f"event: {name}\n".encode() if name else b""
    return head + b"data: %b\n\n" % (value if isinstance(value, bytes) else json.dumps(value).encode())


def _named(name: str, **fields: object) -> bytes:
    return _event({"type": name, **fields}, name)


def _chunk(delta: dict[str, str], finish: str | None = None) -> bytes:
    return _event({"id": "c", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


def _chat() -> Speech:
    message = {"role": "assistant", "content": "words"}
    whole = {"id": "c", "model": "m", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    usage = _event({"id": "c", "model": "m", "choices": [], "usage": _CHAT_USAGE})
    error = {"error": {"message": "the engine is overloaded", "type": "overloaded_error", "code": "overloaded"}}
    return Speech(
        name="openai.chat",
        kind="openai",
        path=b"/v1/chat/completions",
        ask=json.dumps({"model": "m", "messages": _ASKED}).encode(),
        ask_stream=json.dumps({"model": "m", "messages": _ASKED, "stream": True}).encode(),
        whole=json.dumps({**whole, "usage": _CHAT_USAGE}).encode(),
        before=(_chunk({"role": "assistant", "content": ""}),),
        pieces=tuple(_chunk({"content": f"word {number} "}) for number in range(PIECES)),
        after=(_chunk({}, "stop"), usage, _event(b"[DONE]")),
        hidden=(usage,),
        error_whole=json.dumps(error).encode(),
        error_event=_event(error),
        malformed=_event(b'{"id":"c","choices":[{"del'),
    )


def _messages() -> Speech:
    message = {"id": "m1", "type": "message", "role": "assistant", "model": "m"}
    whole = {**message, "content": [{"type": "text", "text": "words"}], "stop_reason": "end_turn", "usage": _USAGE}
    start = {**message, "content": [], "stop_reason": None, "usage": {**_USAGE, "output_tokens": 1}}
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    return Speech(
        name="anthropic.messages",
        kind="anthropic",
        path=b"/v1/messages",
        ask=json.dumps({"model": "m", "max_tokens": 50, "messages": _ASKED}).encode(),
        ask_stream=json.dumps({"model": "m", "max_tokens": 50, "messages": _ASKED, "stream": True}).encode(),
        whole=json.dumps(whole).encode(),
        before=(
            _named("message_start", message=start),
            _named("content_block_start", index=0, content_block={"type": "text", "text": ""}),
            _named("ping"),
        ),
        pieces=tuple(
            _named("content_block_delta", index=0, delta={"type": "text_delta", "text": f"word {number} "})
            for number in range(PIECES)
        ),
        after=(
            _named("content_block_stop", index=0),
            _named("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 20}),
            _named("message_stop"),
        ),
        error_whole=json.dumps(error).encode(),
        error_event=_event(error, "error"),
        malformed=_event(b'{"type":"content_block_delta","delta":{"ty', "content_block_delta"),
        begun_nano=10 * 1000 + 1 * 2000,
    )


def _responses() -> Speech:
    part = {"type": "output_text", "text": "words", "annotations": []}
    item = {"id": "i", "type": "message", "role": "assistant", "status": "completed", "content": [part]}
    response = {"id": "r", "object": "response", "model": "m", "status": "in_progress", "output": []}
    usage = {**_USAGE, "total_tokens": 30}
    done = {**response, "status": "completed", "output": [item], "usage": usage}
    said = {"code": "server_error", "message": "the engine is overloaded"}
    failed = {**response, "status": "failed", "error": said}
    return Speech(
        name="openai.responses",
        kind="openai",
        path=b"/v1/responses",
        ask=json.dumps({"model": "m", "input": "hi"}).encode(),
        ask_stream=json.dumps({"model": "m", "input": "hi", "stream": True}).encode(),
        whole=json.dumps(done).encode(),
        before=(_named("response.created", response=response),),
        pieces=tuple(
            _named("response.output_text.delta", item_id="i", output_index=0, content_index=0, delta=f"word {number} ")
            for number in range(PIECES)
        ),
        after=(_named("response.completed", response=done),),
        error_whole=json.dumps(failed).encode(),
        error_event=_named("response.failed", response=failed),
        error_class="server_error",
        malformed=_event(b'{"type":"response.output_text.delta","del', "response.output_text.delta"),
    )


SPEECHES = (_chat(), _messages(), _responses())
