"""Anthropic messages and the token count beside it, also as MiniMax speaks them under `/anthropic`.

Source: the providers fact sheet, section 2, and the MiniMax fact sheet, section 5.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from proxy.sandbox import minimax_chat
from proxy.sandbox.errors import Failure, anthropic_failure, minimax_failure, parse_error
from proxy.sandbox.exchange import Answer, Ask, batches, event, plain, refuse, stream, whole
from proxy.sandbox.openai_style import MAX_CALLS, argument_pieces
from proxy.sandbox.reply import Finish, Reply, Tool, Wish, compose
from proxy.sandbox.words import count_prompt

DATED = {
    "claude-haiku-4-5": "claude-haiku-4-5-20251001",
    "claude-sonnet-4-5": "claude-sonnet-4-5-20250929",
    "claude-opus-4-5": "claude-opus-4-5-20251101",
}
"""Alias -> the dated name that the answer states."""

_FINISH: dict[Finish, str] = {
    "stop": "end_turn",
    "stop_sequence": "stop_sequence",
    "length": "max_tokens",
    "tool": "tool_use",
}
_ROLES = ("user", "assistant", "system")
_CACHE_STEP_TOKENS = 64
_SIGNATURE = "c2FuZGJveA=="


def answer(ask: Ask) -> Answer:
    """The answer to one `/v1/messages`; a request that Anthropic would refuse is refused.

    Raises:
        ControlError: an `error` control that is not known.
    """
    heads = headers(ask)
    limit = ask.body.get("max_tokens")
    problem = None if isinstance(limit, int) and limit >= 0 else "max_tokens: Field required"
    failure = _failure(ask, problem)
    if failure is None and ask.controls.error:
        asked = parse_error(ask.controls.error)
        if not (asked.in_stream and ask.streaming):
            failure = _worded(ask, ask.controls.error)
    if failure is not None:
        return refuse(ask, heads, failure)
    reply = compose(_wish(ask), ask.controls, ask.draw.fork("choice", 0))
    if ask.streaming:
        broken = None
        if ask.controls.error:
            broken = event(_worded(ask, ask.controls.error).body, name="error")
        return stream(ask, heads, list(_events(ask, reply)), failure=broken)
    finish = {"stop_reason": _FINISH[reply.finish], "stop_sequence": reply.stop}
    usage = {} if ask.controls.no_usage else {"usage": _usage(ask, reply)}
    return whole(ask, heads, {**_frame(ask), "content": _blocks(ask, reply), **finish, **usage, **_extras(ask)})


def answer_count(ask: Ask) -> Answer:
    """The answer to one `/v1/messages/count_tokens`.

    Raises:
        ControlError: an `error` control that is not known.
    """
    failure = _failure(ask, None)
    if failure is None and ask.controls.error:
        failure = _worded(ask, ask.controls.error)
    if failure is not None:
        return refuse(ask, headers(ask), failure)
    return plain(200, headers(ask), {"input_tokens": _prompt(ask)})


def headers(ask: Ask) -> dict[str, str]:
    """Anthropic's response headers, or MiniMax's."""
    if ask.flavour == "minimax":
        return minimax_chat.headers(ask)
    draw = ask.draw.fork("headers")
    heads = {"request-id": _request_id(ask), "anthropic-organization-id": "00000000-0000-0000-0000-000000000000"}
    for kind, limit in (("requests", 4_000), ("input-tokens", 2_000_000), ("output-tokens", 400_000)):
        heads[f"anthropic-ratelimit-{kind}-limit"] = str(limit)
        heads[f"anthropic-ratelimit-{kind}-remaining"] = str(draw.between(limit // 2, limit))
        heads[f"anthropic-ratelimit-{kind}-reset"] = "2026-11-01T10:00:00Z"
    return heads


def _request_id(ask: Ask) -> str:
    if ask.flavour == "minimax":
        return minimax_chat.headers(ask)["minimax-request-id"]
    return f"req_sandbox{ask.draw.fork('request_id').hex(20)}"


def _failure(ask: Ask, problem: str | None) -> Failure | None:
    """What is wrong with the request; `problem` is a finding of the caller's."""
    if ask.key_is_bad:
        return _worded(ask, "401")
    messages = ask.body.get("messages")
    if not ask.model:
        problem = "model: Field required"
    elif not isinstance(messages, list) or not messages:
        problem = "messages: at least one message is required"
    elif not all(isinstance(message, dict) and message.get("role") in _ROLES for message in messages):
        problem = "messages: Unexpected role. Allowed roles are user, assistant and system."
    elif ask.flavour == "minimax" and minimax_chat.thinking_is_wrong(ask):
        problem = "invalid thinking.type"
    return None if problem is None else _worded(ask, "400", problem)


def _worded(ask: Ask, error: str, message: str | None = None) -> Failure:
    asked = parse_error(error)
    if ask.flavour == "minimax":
        return minimax_failure(asked, _request_id(ask), message, anthropic=True)
    return anthropic_failure(asked.kind, _request_id(ask), message)


def _wish(ask: Ask) -> Wish:
    body = ask.body
    thinking = body.get("thinking")
    offered = tuple(
        Tool(tool["name"], tool.get("input_schema"))
        for tool in _objects(body.get("tools"))
        if isinstance(tool.get("name"), str) and tool.get("type", "custom") == "custom"
    )
    choice = body.get("tool_choice")
    choice = choice if isinstance(choice, dict) else {"type": "auto"}
    if choice.get("type") == "tool":
        offered = tuple(tool for tool in offered if tool.name == choice.get("name"))
    stops = body.get("stop_sequences")
    # MiniMax takes stop sequences and ignores them.
    heeded = stops if isinstance(stops, list) and ask.flavour != "minimax" else []
    return Wish(
        max_tokens=body["max_tokens"],
        stops=tuple(stop for stop in heeded if isinstance(stop, str)),
        tools=offered,
        calls=_calls(ask, offered, choice),
        introduces_calls=True,
        reasons=isinstance(thinking, dict) and thinking.get("type") in ("enabled", "adaptive"),
        schema=_structure(body),
    )


def _calls(ask: Ask, offered: Sequence[Tool], choice: dict[str, Any]) -> int:
    """How many tools to call: none where none may be or one has just answered, else as many as the controls say."""
    if not offered or choice.get("type") == "none":
        return 0
    if ask.controls.tools is not None:
        return min(ask.controls.tools, 1 if choice.get("disable_parallel_tool_use") is True else MAX_CALLS)
    blocks = _objects(ask.body["messages"][-1].get("content"))
    answered = any(block.get("type") == "tool_result" for block in blocks)
    return 0 if answered and choice.get("type") == "auto" else 1


def _structure(body: dict[str, Any]) -> Any:
    config = body.get("output_config")
    wanted = config.get("format") if isinstance(config, dict) else None
    return wanted.get("schema") if isinstance(wanted, dict) and wanted.get("type") == "json_schema" else None


def _prompt(ask: Ask) -> int:
    return count_prompt([ask.body.get("system"), ask.body.get("messages"), ask.body.get("tools")])


def _cache_split(ask: Ask) -> tuple[int, int, int]:
    """Prompt tokens that are fresh, written to the cache, and read from it.

    Where the request marks something for the cache, half of the prompt counts as read and a quarter as written.
    """
    prompt = _prompt(ask)
    step = _CACHE_STEP_TOKENS
    marked = _marks_cache(ask.body)
    read = ask.controls.cached if ask.controls.cached is not None else prompt // 2 // step * step if marked else 0
    read = min(prompt, read)
    written = min(prompt - read, prompt // 4 // step * step) if marked else 0
    return prompt - read - written, written, read


def _marks_cache(value: Any) -> bool:
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            if isinstance(item.get("cache_control"), dict):
                return True
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
    return False


def _usage(ask: Ask, reply: Reply) -> dict[str, Any]:
    fresh, written, read = _cache_split(ask)
    usage: dict[str, Any] = {
        "input_tokens": fresh,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
        "output_tokens": reply.output_tokens,
    }
    if ask.flavour == "minimax":
        return usage
    split = {"ephemeral_5m_input_tokens": written, "ephemeral_1h_input_tokens": 0}
    thought = {"output_tokens_details": {"thinking_tokens": len(reply.reasoning)}} if reply.reasoning else {}
    return {**usage, "cache_creation": split, **thought, "service_tier": "standard"}


def _frame(ask: Ask) -> dict[str, Any]:
    draw = ask.draw.fork("id")
    message_id = draw.hex(32) if ask.flavour == "minimax" else f"msg_sandbox{draw.hex(20)}"
    return {"id": message_id, "type": "message", "role": "assistant", "model": DATED.get(ask.model, ask.model)}


def _extras(ask: Ask) -> dict[str, Any]:
    """What MiniMax adds to a message."""
    if ask.flavour != "minimax":
        return {}
    return {"service_tier": "standard", "base_resp": {"status_code": 0, "status_msg": ""}}


def _call_id(ask: Ask, number: int) -> str:
    return f"toolu_sandbox{ask.draw.fork('call_id', number).hex(20)}"


def _blocks(ask: Ask, reply: Reply) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    if reply.reasoning:
        blocks.append({"type": "thinking", "thinking": "".join(reply.reasoning), "signature": _SIGNATURE})
    if reply.text:
        blocks.append({"type": "text", "text": "".join(reply.text)})
    for number, call in enumerate(reply.calls):
        blocks.append({"type": "tool_use", "id": _call_id(ask, number), "name": call.name, "input": call.arguments})
    return blocks


def _events(ask: Ask, reply: Reply) -> Iterator[bytes]:
    padding = ask.draw.fork("padding")

    def named(name: str, **members: Any) -> bytes:
        # Anthropic pads its frames with blanks after the JSON.
        return event({"type": name, **members}, name=name, padding=" " * padding.between(0, 12))

    usage = _usage(ask, reply)
    opening = {**_frame(ask), "content": [], "stop_reason": None, "stop_sequence": None}
    if not ask.controls.no_usage:
        opening["usage"] = _provisional(ask, usage)
    yield named("message_start", message=opening)
    for index, (start, deltas) in enumerate(_streamed_blocks(ask, reply)):
        yield named("content_block_start", index=index, content_block=start)
        if index == 0:
            yield named("ping")
        for delta in deltas:
            yield named("content_block_delta", index=index, delta=delta)
        yield named("content_block_stop", index=index)
    finish = {"stop_reason": _FINISH[reply.finish], "stop_sequence": reply.stop}
    # The last usage states no tier and no split of the cache writes.
    final = {key: value for key, value in usage.items() if key not in {"cache_creation", "service_tier"}}
    yield named("message_delta", delta=finish, **({} if ask.controls.no_usage else {"usage": final}))
    yield named("message_stop")


def _provisional(ask: Ask, usage: dict[str, Any]) -> dict[str, Any]:
    """The usage of `message_start`: hardly any output yet, and with MiniMax a wrong split of the prompt."""
    if ask.flavour == "minimax":
        everything = usage["input_tokens"] + usage["cache_read_input_tokens"]
        return {**usage, "input_tokens": 0, "output_tokens": 0, "cache_read_input_tokens": everything}
    return {key: value for key, value in usage.items() if key != "output_tokens_details"} | {"output_tokens": 1}


def _streamed_blocks(ask: Ask, reply: Reply) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Each content block as its start and its deltas."""
    size = ask.controls.chunk_tokens
    if reply.reasoning:
        deltas = [{"type": "thinking_delta", "thinking": piece} for piece in batches(reply.reasoning, size)]
        signed = {"type": "signature_delta", "signature": _SIGNATURE}
        yield {"type": "thinking", "thinking": "", "signature": ""}, [*deltas, signed]
    if reply.text:
        deltas = [{"type": "text_delta", "text": piece} for piece in batches(reply.text, size)]
        yield {"type": "text", "text": ""}, deltas
    for number, call in enumerate(reply.calls):
        # A tool without arguments has no delta at all.
        pieces = ["", *argument_pieces(call, size)] if call.arguments else []
        start = {"type": "tool_use", "id": _call_id(ask, number), "name": call.name, "input": {}}
        yield start, [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
