"""MiniMax chat: its OpenAI-compatible path and its native one, M2-her's roles included.

Two stream shapes are in use and both are spoken. A: `usage:null` in every chunk and one usage frame at the end, only
where it was asked for, then `[DONE]`. B (older models and the native path): a placeholder usage of zeros in every
chunk, a last frame that repeats the whole message with the true usage, no `[DONE]`.
Source: the MiniMax fact sheet, sections 3, 4 and 9.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from proxy.sandbox.errors import ErrorWish, base_resp, minimax_failure, parse_error
from proxy.sandbox.exchange import Answer, Ask, batches, event, plain, refuse, stream, whole
from proxy.sandbox.openai_style import ROLES, argument_pieces, check_messages, read_wish
from proxy.sandbox.reply import Finish, Reply, compose
from proxy.sandbox.words import count_prompt

NATIVE_ROLES = ROLES | {"user_system", "group", "sample_message_user", "sample_message_ai"}
"""The roles of `/v1/text/chatcompletion_v2`; the last four are M2-her's."""

_FINISH: dict[Finish, str] = {"stop": "stop", "stop_sequence": "stop", "length": "length", "tool": "tool_calls"}
_CURRENT = ("minimax-m3", "minimax-m2.7")
"""Models whose streams have shape A."""
_IGNORED = ("stop", "n", "seed", "response_format", "logprobs", "user")
"""Members that are not in MiniMax's schema: accepted, and named in a warning."""
_CACHE_FROM_TOKENS = 512
_CACHE_STEP_TOKENS = 64
_SPEAKER = {"role": "assistant", "name": "MiniMax AI", "audio_content": ""}
_DETAIL = {"type": "reasoning.text", "id": "reasoning-text-1", "format": "MiniMax-response-v1", "index": 0}
_NOT_SENSITIVE = {
    "input_sensitive": False,
    "output_sensitive": False,
    "input_sensitive_type": 0,
    "output_sensitive_type": 0,
    "output_sensitive_int": 0,
}
_NOTHING_COUNTED = {"total_tokens": 0, "total_characters": 0}
_DONE = b"data: [DONE]\n\n"


def answer(ask: Ask) -> Answer:
    """The answer to one `/v1/chat/completions`; errors have a real status.

    Raises:
        ControlError: an `error` control that is not known.
    """
    found = _problem(ask, ROLES)
    if found is None:
        return _speak(ask, native=False)
    wish, message = found
    heads = headers(ask)
    return refuse(ask, heads, minimax_failure(wish, heads["minimax-request-id"], message))


def answer_native(ask: Ask) -> Answer:
    """The answer to one `/v1/text/chatcompletion_v2`; most errors hide in a 200.

    Raises:
        ControlError: an `error` control that is not known.
    """
    found = _problem(ask, NATIVE_ROLES)
    if found is None:
        return _speak(ask, native=True)
    wish, message = found
    heads = headers(ask)
    if not wish.in_body:
        return refuse(ask, heads, minimax_failure(wish, heads["minimax-request-id"], message))
    frame = {"id": "", "choices": None, "created": ask.created, "model": ask.model, "object": "chat.completion"}
    hidden = {**frame, "usage": _NOTHING_COUNTED, **_NOT_SENSITIVE, "base_resp": base_resp(wish.code, message)}
    return plain(200, heads, hidden)


def headers(ask: Ask) -> dict[str, str]:
    """MiniMax's response headers; it documents no rate limit headers."""
    draw = ask.draw.fork("headers")
    request_id = draw.hex(32)
    return {"minimax-request-id": request_id, "trace-id": request_id[:16], "alb_request_id": draw.hex(32)}


def thinking_is_wrong(ask: Ask) -> bool:
    """Whether `thinking` has a type that MiniMax refuses."""
    thinking = ask.body.get("thinking")
    return isinstance(thinking, dict) and thinking.get("type") not in ("adaptive", "disabled")


def _problem(ask: Ask, roles: frozenset[str]) -> tuple[ErrorWish, str | None] | None:
    """What is wrong with the request or was asked to go wrong, with words of its own where there are."""
    if ask.key_is_bad:
        return parse_error("base:1004"), None
    message = check_messages(ask.body, roles) if ask.model else "unknown model ''"
    if thinking_is_wrong(ask):
        message = "invalid thinking.type"
    if message is not None:
        return parse_error("base:2013"), f"invalid params, {message}"
    if ask.controls.error:
        asked = parse_error(ask.controls.error)
        if not (asked.in_stream and ask.streaming):
            return asked, None
    return None


def _speak(ask: Ask, *, native: bool) -> Answer:
    # `stop`, `response_format` and `n` are not in MiniMax's schema: they change nothing.
    heeded = {key: value for key, value in ask.body.items() if key not in _IGNORED}
    wish = read_wish(msgspec.structs.replace(ask, body=heeded), reasons=_reasons(ask))
    reply = compose(wish, ask.controls, ask.draw.fork("choice", 0))
    if not ask.streaming:
        body = {**_frame(ask, "chat.completion", native=native), **_NOT_SENSITIVE}
        body["choices"] = [{"finish_reason": _FINISH[reply.finish], "index": 0, "message": _message(ask, reply)}]
        if not ask.controls.no_usage:
            body["usage"] = _usage(ask, reply)
        return whole(ask, headers(ask), {**body, "base_resp": _good(ask)})
    shape = ask.controls.shape or ("a" if ask.model.lower().startswith(_CURRENT) and not native else "b")
    events, closing = _shape_a(ask, reply) if shape == "a" else _shape_b(ask, reply, native=native)
    broken = None
    if ask.controls.error:
        code = parse_error(ask.controls.error).code
        sensitive = {**_NOT_SENSITIVE, "output_sensitive": code == 1027, "output_sensitive_type": int(code == 1027)}
        frame = {**_frame(ask, "chat.completion.chunk", native=native), "choices": None, "usage": None, **sensitive}
        broken = event({**frame, "base_resp": base_resp(code)})
    return stream(ask, headers(ask), events, closing, broken)


def _reasons(ask: Ask) -> bool:
    model = ask.model.lower()
    if model.startswith("m2-her"):
        return False
    thinking = ask.body.get("thinking")
    off = isinstance(thinking, dict) and thinking.get("type") == "disabled"
    # Left out is on here; M2.x cannot be switched off.
    return not off or model.startswith("minimax-m2")


def _frame(ask: Ask, kind: str, *, native: bool) -> dict[str, Any]:
    frame = {"id": ask.draw.fork("id").hex(32), "created": ask.created, "model": ask.model, "object": kind}
    if not native and kind == "chat.completion":
        frame["service_tier"] = "priority" if ask.body.get("service_tier") == "priority" else "standard"
    return frame


def _good(ask: Ask) -> dict[str, Any]:
    ignored = next((name for name in _IGNORED if name in ask.body), None)
    warning = "" if ignored is None else f'Invalid parameters detected, json: unknown field "{ignored}"'
    return {"status_code": 0, "status_msg": warning}


def _usage(ask: Ask, reply: Reply) -> dict[str, Any]:
    prompt = count_prompt([ask.body.get("messages"), ask.body.get("tools")])
    cached = prompt // 2 // _CACHE_STEP_TOKENS * _CACHE_STEP_TOKENS if prompt >= _CACHE_FROM_TOKENS else 0
    cached = min(prompt, ask.controls.cached if ask.controls.cached is not None else cached)
    output = reply.output_tokens
    usage: dict[str, Any] = {
        "total_tokens": prompt + output,
        "total_characters": 0,
        "prompt_tokens": prompt,
        "completion_tokens": output,
    }
    model = ask.model.lower()
    if model.startswith("m2-her"):
        return usage
    if not model.startswith("minimax-m3"):
        # M3 thinks too, but does not say how much.
        usage["completion_tokens_details"] = {"reasoning_tokens": len(reply.reasoning)}
    return {**usage, "prompt_tokens_details": {"cached_tokens": cached}}


def _calls(ask: Ask, reply: Reply) -> list[dict[str, Any]]:
    stem = f"call_function_sandbox{ask.draw.fork('call_id').hex(12)}"
    return [
        {
            "id": f"{stem}_{number + 1}",
            "type": "function",
            "function": {"name": call.name, "arguments": call.text},
            "index": number,
        }
        for number, call in enumerate(reply.calls)
    ]


def _message(ask: Ask, reply: Reply) -> dict[str, Any]:
    text, thought = "".join(reply.text), "".join(reply.reasoning)
    message: dict[str, Any] = {"content": text, **_SPEAKER}
    if thought and ask.body.get("reasoning_split") is True:
        message["reasoning_content"] = thought
        message["reasoning_details"] = [{**_DETAIL, "text": thought}]
    elif thought:
        message["content"] = f"<think>\n{thought}\n</think>\n\n{text}"
    if reply.calls:
        message["tool_calls"] = _calls(ask, reply)
    return message


def _deltas(ask: Ask, reply: Reply) -> Iterator[dict[str, Any]]:
    """The message in pieces, each with the members that are its own."""
    size = ask.controls.chunk_tokens
    thought = batches(reply.reasoning, size)
    if thought and ask.body.get("reasoning_split") is True:
        for piece in thought:
            yield {"content": "", "reasoning_content": piece, "reasoning_details": [{**_DETAIL, "text": piece}]}
        thought = []
    if thought:
        thought = [f"<think>\n{thought[0]}", *thought[1:], "\n</think>\n\n"]
    for piece in [*thought, *batches(reply.text, size)]:
        yield {"content": piece}
    for shown, call in zip(_calls(ask, reply), reply.calls, strict=True):
        name = {"name": call.name, "arguments": ""}
        yield {"content": "", "tool_calls": [{**shown, "function": name}]}
        for piece in argument_pieces(call, size):
            yield {"content": "", "tool_calls": [{"index": shown["index"], "function": {"arguments": piece}}]}


def _choices(ask: Ask, reply: Reply) -> Iterator[dict[str, Any]]:
    """The choice of each chunk; the last one has content and the finish reason both."""
    deltas = list(_deltas(ask, reply)) or [{"content": ""}]
    for delta in deltas[:-1]:
        yield {"index": 0, "delta": delta}
    yield {"finish_reason": _FINISH[reply.finish], "index": 0, "delta": deltas[-1]}


def _shape_a(ask: Ask, reply: Reply) -> tuple[list[bytes], list[bytes]]:
    frame = _frame(ask, "chat.completion.chunk", native=False)
    said = []
    for choice in _choices(ask, reply):
        choice["delta"] |= _SPEAKER
        said.append(event({**frame, "choices": [choice], "usage": None, **_NOT_SENSITIVE}))
    options = ask.body.get("stream_options")
    asked = isinstance(options, dict) and options.get("include_usage") is True
    if not asked or ask.controls.no_usage:
        return said, [_DONE]
    good = {"usage": _usage(ask, reply), **_NOT_SENSITIVE, "base_resp": _good(ask)}
    return said, [event({**frame, "choices": [], **good}), _DONE]


def _shape_b(ask: Ask, reply: Reply, *, native: bool) -> tuple[list[bytes], list[bytes]]:
    frame = _frame(ask, "chat.completion.chunk", native=native)
    counted: dict[str, Any] = {} if ask.controls.no_usage else {"usage": _NOTHING_COUNTED}
    said, role = [], "assistant"
    for choice in _choices(ask, reply):
        choice["delta"]["role"] = role
        said.append(event({**frame, "choices": [choice], **counted, **_NOT_SENSITIVE}))
        role = ""
    if counted:
        counted = {"usage": _usage(ask, reply)}
        if ask.model.lower().startswith("m2-her"):
            counted = {"usage": {"total_tokens": counted["usage"]["total_tokens"]}}
    last = {"finish_reason": _FINISH[reply.finish], "index": 0, "message": _message(ask, reply)}
    whole_again = {**_frame(ask, "chat.completion", native=native), "choices": [last]}
    return said, [event({**whole_again, **counted, **_NOT_SENSITIVE, "base_resp": _good(ask)})]
