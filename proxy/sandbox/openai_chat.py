"""OpenAI chat completions, also as Azure, DeepSeek and OpenRouter speak them where the path or the model says so.

Source: the providers fact sheet, sections 1 (OpenAI), 3 (Azure), 5 (DeepSeek) and 6 (OpenRouter).
"""

from collections.abc import Iterator, Sequence
from typing import Any

from proxy.sandbox.errors import Failure, parse_error
from proxy.sandbox.exchange import Answer, Ask, batches, event, refuse, stream, whole
from proxy.sandbox.openai_habits import UNFILTERED, failure_of, first_events, headers, usage_of
from proxy.sandbox.openai_style import ROLES, argument_pieces, check_messages, read_wish
from proxy.sandbox.reply import Finish, Reply, compose

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
_Delta = tuple[int, dict[str, Any], str | None]
"""Choice, delta, finish reason."""
_DONE = b"data: [DONE]\n\n"


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
    usage = None if ask.controls.no_usage else usage_of(ask, replies)
    if ask.streaming:
        return _streamed(ask, heads, replies, usage)
    return whole(ask, heads, _body(ask, replies, usage))


def _failure(ask: Ask) -> Failure | None:
    if ask.key_is_bad:
        return failure_of(ask, "401")
    if not ask.model:
        return failure_of(ask, "400", "you must provide a model parameter")
    if (problem := check_messages(ask.body, ROLES)) is not None:
        return failure_of(ask, "400", problem)
    if not 1 <= _choices(ask) <= MAX_CHOICES:
        return failure_of(ask, "400", f"Invalid 'n': expected a whole number from 1 to {MAX_CHOICES}.")
    if ask.controls.error:
        asked = parse_error(ask.controls.error)
        if not (asked.in_stream and ask.streaming):
            return failure_of(ask, asked.kind)
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


def _frame(ask: Ask, kind: str) -> dict[str, Any]:
    """The members that every body and every chunk of one answer begins with."""
    prefix = "gen" if ask.flavour == "openrouter" else "chatcmpl"
    frame: dict[str, Any] = {
        "id": f"{prefix}-sandbox{ask.draw.fork('id').hex(24)}",
        "object": kind,
        "created": ask.created,
        "model": DATED.get(ask.model, ask.model),
        "system_fingerprint": "fp_sandbox",
    }
    if ask.flavour == "openai":
        frame["service_tier"] = _TIERS.get(str(ask.body.get("service_tier")), "default")
    if ask.flavour == "openrouter":
        frame["provider"] = "sandbox"
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
        choices.append(choice | ({"content_filter_results": UNFILTERED} if ask.flavour == "azure" else {}))
    body = {**_frame(ask, "chat.completion"), "choices": choices}
    if ask.flavour == "azure":
        body["prompt_filter_results"] = [{"prompt_index": 0, "content_filter_results": UNFILTERED}]
    return body if usage is None else {**body, "usage": usage}


def _streamed(ask: Ask, heads: dict[str, str], replies: Sequence[Reply], usage: dict[str, Any] | None) -> Answer:
    options = ask.body.get("stream_options")
    asked = isinstance(options, dict) and options.get("include_usage") is True and usage is not None
    frame = _frame(ask, "chat.completion.chunk")
    nothing: dict[str, Any] = {"usage": None} if asked and ask.flavour != "openrouter" else {}
    events = first_events(ask, nothing)
    for index, delta, finish in _rounds([list(_deltas(ask, at, reply)) for at, reply in enumerate(replies)]):
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
        # DeepSeek's usage stands in the finish chunk, which still has a choice, asked for or not.
        stated = {"usage": usage} if finish and ask.flavour == "deepseek" and usage else nothing
        events.append(event({**frame, "choices": [choice], **stated}))
    closing = [_DONE]
    if usage is not None and ask.flavour == "openrouter":
        # OpenRouter says it finishes a second time, and there states its usage, asked for or not.
        again = {"index": 0, "delta": {"content": ""}, "logprobs": None, "finish_reason": _FINISH[replies[0].finish]}
        closing = [event({**frame, "choices": [again], "usage": usage}), _DONE]
    elif asked and ask.flavour != "deepseek":
        closing = [event({**frame, "choices": [], "usage": usage}), _DONE]
    return stream(ask, heads, events, closing, _broken(ask, frame))


def _broken(ask: Ask, frame: dict[str, Any]) -> bytes | None:
    """The event that ends a stream with the error that was asked for."""
    if not ask.controls.error:
        return None
    error = failure_of(ask, parse_error(ask.controls.error).kind).body
    if ask.flavour != "openrouter":
        return event(error)
    choice = {"index": 0, "delta": {"content": ""}, "logprobs": None, "finish_reason": "error"}
    return event({**frame, "choices": [choice], "error": error["error"]})


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
