"""OpenAI chat completions, with the habits of Azure and DeepSeek where the path or the model says so.

Source: the providers fact sheet, sections 1 (OpenAI), 3 (Azure) and 5 (DeepSeek).
"""

from collections.abc import Iterator, Sequence
from typing import Any

from proxy.sandbox.errors import Failure, openai_failure, parse_error
from proxy.sandbox.exchange import Answer, Ask, batches, event, refuse, stream, whole
from proxy.sandbox.openai_style import ROLES, argument_pieces, check_messages, read_wish
from proxy.sandbox.reply import Finish, Reply, compose
from proxy.sandbox.words import count_prompt

DATED = {
    "gpt-4o": "gpt-4o-2024-11-20",
    "gpt-4o-mini": "gpt-4o-mini-2024-07-18",
    "gpt-4.1": "gpt-4.1-2025-04-14",
    "gpt-4.1-mini": "gpt-4.1-mini-2025-04-14",
    "gpt-5": "gpt-5-2025-08-07",
    "gpt-5-mini": "gpt-5-mini-2025-08-07",
}
"""Alias -> the dated name that the answer states."""
MAX_CHOICES = 16
"""The most `n` that is answered."""

_FINISH: dict[Finish, str] = {"stop": "stop", "stop_sequence": "stop", "length": "length", "tool": "tool_calls"}
_TIERS = {"flex": "flex", "priority": "priority", "fast": "priority", "scale": "scale"}
_REASONERS = ("gpt-5", "o1", "o3", "o4")
_CACHE_FROM_TOKENS = 1024
_CACHE_STEP_TOKENS = 128
_Delta = tuple[int, dict[str, Any], str | None]
"""Choice, delta, finish reason."""
_DONE = b"data: [DONE]\n\n"
_UNFILTERED = {kind: {"filtered": False, "severity": "safe"} for kind in ("hate", "self_harm", "sexual", "violence")}


def answer(ask: Ask) -> Answer:
    """The answer to one `/chat/completions`; a request that OpenAI would refuse is refused.

    Raises:
        ControlError: an `error` control that is not known.
    """
    heads = headers(ask)
    failure = _failure(ask)
    if failure is not None:
        return refuse(ask, heads, failure)
    wish = read_wish(ask, reasons=_reasons(ask))
    replies = [compose(wish, ask.controls, ask.draw.fork("choice", index)) for index in range(_choices(ask))]
    usage = None if ask.controls.no_usage else _usage(ask, replies)
    if ask.streaming:
        broken = None
        if ask.controls.error:
            broken = event(openai_failure(parse_error(ask.controls.error).kind).body)
        return _streamed(ask, heads, replies, usage, broken)
    return whole(ask, heads, _body(ask, replies, usage))


def headers(ask: Ask) -> dict[str, str]:
    """The response headers of the provider whose habits the answer has."""
    draw = ask.draw.fork("headers")
    requests, tokens = draw.between(1, 9_999), draw.between(1, 1_999_999)
    if ask.flavour == "azure":
        return {
            "apim-request-id": draw.hex(32),
            "x-ms-region": "Sandbox Central",
            "azureml-model-session": "sandbox",
            "x-ratelimit-remaining-requests": str(requests),
            "x-ratelimit-remaining-tokens": str(tokens),
        }
    if ask.flavour == "deepseek":
        return {"x-ds-trace-id": draw.hex(32)}
    return {
        "x-request-id": f"req_{draw.hex(32)}",
        "openai-processing-ms": str(draw.between(80, 900)),
        "openai-version": "2020-10-01",
        "openai-organization": "sandbox",
        "x-ratelimit-limit-requests": "10000",
        "x-ratelimit-limit-tokens": "2000000",
        "x-ratelimit-remaining-requests": str(requests),
        "x-ratelimit-remaining-tokens": str(tokens),
        "x-ratelimit-reset-requests": f"{draw.between(5, 900)}ms",
        "x-ratelimit-reset-tokens": f"{draw.between(5, 900)}ms",
    }


def _failure(ask: Ask) -> Failure | None:
    if ask.key_is_bad:
        return openai_failure("401")
    if not ask.model:
        return openai_failure("400", "you must provide a model parameter")
    if (problem := check_messages(ask.body, ROLES)) is not None:
        return openai_failure("400", problem)
    if not 1 <= _choices(ask) <= MAX_CHOICES:
        return openai_failure("400", f"Invalid 'n': expected a whole number from 1 to {MAX_CHOICES}.")
    if ask.controls.error:
        asked = parse_error(ask.controls.error)
        if not (asked.in_stream and ask.streaming):
            return openai_failure(asked.kind)
    return None


def _choices(ask: Ask) -> int:
    stated = ask.body.get("n")
    return 1 if stated is None else stated if isinstance(stated, int) else 0


def _reasons(ask: Ask) -> bool:
    effort = ask.body.get("reasoning_effort")
    if ask.flavour == "deepseek":
        thinking = ask.body.get("thinking")
        on = isinstance(thinking, dict) and thinking.get("type") == "enabled"
        return on or "reasoner" in ask.model or "pro" in ask.model
    if effort in ("none", "minimal"):
        return False
    return effort is not None or ask.model.startswith(_REASONERS)


def _usage(ask: Ask, replies: Sequence[Reply]) -> dict[str, Any]:
    prompt = count_prompt([ask.body.get("messages"), ask.body.get("tools")])
    cached = prompt // 2 // _CACHE_STEP_TOKENS * _CACHE_STEP_TOKENS if prompt >= _CACHE_FROM_TOKENS else 0
    cached = min(prompt, ask.controls.cached if ask.controls.cached is not None else cached)
    output = sum(reply.output_tokens for reply in replies)
    reasoning = sum(len(reply.reasoning) for reply in replies)
    usage: dict[str, Any] = {"prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output}
    if ask.flavour == "deepseek":
        return {
            **usage,
            "prompt_tokens_details": {"cached_tokens": cached},
            "completion_tokens_details": {"reasoning_tokens": reasoning},
            "prompt_cache_hit_tokens": cached,
            "prompt_cache_miss_tokens": prompt - cached,
        }
    return {
        **usage,
        "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _frame(ask: Ask, kind: str) -> dict[str, Any]:
    """The members that every body and every chunk of one answer begins with."""
    frame: dict[str, Any] = {
        "id": f"chatcmpl-sandbox{ask.draw.fork('id').hex(24)}",
        "object": kind,
        "created": ask.created,
        "model": DATED.get(ask.model, ask.model),
        "system_fingerprint": "fp_sandbox",
    }
    if ask.flavour == "openai":
        frame["service_tier"] = _TIERS.get(str(ask.body.get("service_tier")), "default")
    return frame


def _call_id(ask: Ask, choice: int, number: int) -> str:
    return f"call_sandbox{ask.draw.fork('call_id', choice, number).hex(20)}"


def _body(ask: Ask, replies: Sequence[Reply], usage: dict[str, Any] | None) -> dict[str, Any]:
    choices = []
    for index, reply in enumerate(replies):
        message: dict[str, Any] = {"role": "assistant", "content": "".join(reply.text) or None, "refusal": None}
        if ask.flavour == "deepseek":
            del message["refusal"]
            if reply.reasoning:
                message["reasoning_content"] = "".join(reply.reasoning)
        else:
            message["annotations"] = []
        if reply.calls:
            message["tool_calls"] = [
                {
                    "id": _call_id(ask, index, number),
                    "type": "function",
                    "function": {"name": call.name, "arguments": call.text},
                }
                for number, call in enumerate(reply.calls)
            ]
        elif message["content"] is None:
            message["content"] = ""
        choice = {"index": index, "message": message, "logprobs": None, "finish_reason": _FINISH[reply.finish]}
        choices.append(choice | ({"content_filter_results": _UNFILTERED} if ask.flavour == "azure" else {}))
    body = {**_frame(ask, "chat.completion"), "choices": choices}
    if ask.flavour == "azure":
        body["prompt_filter_results"] = [{"prompt_index": 0, "content_filter_results": _UNFILTERED}]
    return body if usage is None else {**body, "usage": usage}


def _streamed(
    ask: Ask, heads: dict[str, str], replies: Sequence[Reply], usage: dict[str, Any] | None, broken: bytes | None
) -> Answer:
    options = ask.body.get("stream_options")
    asked = isinstance(options, dict) and options.get("include_usage") is True and usage is not None
    frame = _frame(ask, "chat.completion.chunk")
    nothing: dict[str, Any] = {"usage": None} if asked else {}
    events: list[bytes] = []
    if ask.flavour == "azure":
        filtered = [{"prompt_index": 0, "content_filter_results": _UNFILTERED}]
        first = {"choices": [], "created": 0, "id": "", "model": "", "object": "", "prompt_filter_results": filtered}
        events.append(event({**first, **nothing}))
    if ask.flavour == "deepseek":
        events.append(b": keep-alive\n\n")
    for index, delta, finish in _rounds([list(_deltas(ask, at, reply)) for at, reply in enumerate(replies)]):
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
        # DeepSeek's usage stands in the finish chunk, which still has a choice, asked for or not.
        stated = {"usage": usage} if finish and ask.flavour == "deepseek" and usage else nothing
        events.append(event({**frame, "choices": [choice], **stated}))
    closing = [event({**frame, "choices": [], "usage": usage})] if asked and ask.flavour != "deepseek" else []
    return stream(ask, heads, events, [*closing, _DONE], broken)


def _rounds(choices: Sequence[Sequence[_Delta]]) -> Iterator[_Delta]:
    """The deltas of all choices by turns, as a server that works on them at the same time sends them."""
    for place in range(max(map(len, choices), default=0)):
        yield from (deltas[place] for deltas in choices if place < len(deltas))


def _deltas(ask: Ask, index: int, reply: Reply) -> Iterator[_Delta]:
    size = ask.controls.chunk_tokens
    opening: dict[str, Any] = {"role": "assistant", "content": None if reply.calls else ""}
    if ask.flavour == "deepseek":
        opening["reasoning_content"] = ""
    else:
        opening["refusal"] = None
    for number, call in enumerate(reply.calls):
        head = {"index": number, "id": _call_id(ask, index, number), "type": "function"}
        yield index, {**opening, "tool_calls": [{**head, "function": {"name": call.name, "arguments": ""}}]}, None
        opening = {}
        for piece in argument_pieces(call, size):
            yield index, {"tool_calls": [{"index": number, "function": {"arguments": piece}}]}, None
    if opening:
        yield index, opening, None
    if ask.flavour == "deepseek":
        for piece in batches(reply.reasoning, size):
            yield index, {"content": None, "reasoning_content": piece}, None
    for piece in batches(reply.text, size):
        yield index, {"content": piece}, None
    yield index, {}, _FINISH[reply.finish]
