"""What a request in OpenAI's style asks for: read alike for OpenAI itself and for those who copy its bodies."""

from collections.abc import Sequence
from typing import Any

from proxy.sandbox.exchange import Ask
from proxy.sandbox.reply import Call, Tool, Wish

ROLES = frozenset({"developer", "system", "user", "assistant", "tool", "function"})
"""The roles of OpenAI's messages."""
MAX_CALLS = 16
"""The most tools that are called in one answer."""


def read_wish(ask: Ask, *, reasons: bool) -> Wish:
    """What the request asks of the answer; `reasons` is the provider's own rule about reasoning."""
    body = ask.body
    limit = body.get("max_completion_tokens", body.get("max_tokens"))
    stops = body.get("stop")
    offered = _tools(body)
    return Wish(
        max_tokens=limit if isinstance(limit, int) else None,
        stops=(stops,) if isinstance(stops, str) else tuple(stop for stop in _list(stops) if isinstance(stop, str)),
        tools=offered,
        calls=_calls(ask, offered),
        reasons=reasons,
        schema=_structure(body),
    )


def check_messages(body: dict[str, Any], roles: frozenset[str]) -> str | None:
    """Why the messages of a request are refused; None when they are not."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        return "Invalid type for 'messages': expected an array of at least one message."
    for place, message in enumerate(messages):
        role = message.get("role") if isinstance(message, dict) else None
        if not isinstance(role, str) or role not in roles:
            return f"Invalid value for 'messages[{place}].role'. Supported values are: {', '.join(sorted(roles))}."
    return None


def argument_pieces(call: Call, chunk_tokens: int) -> list[str]:
    """The arguments of a call as a stream delivers them: four characters for each token of a chunk."""
    step = 4 * max(1, chunk_tokens)
    return [call.text[at : at + step] for at in range(0, len(call.text), step)]


def _tools(body: dict[str, Any]) -> tuple[Tool, ...]:
    """The functions that may be called, the chosen one alone where the request chooses one."""
    offered = []
    for item in _list(body.get("tools")):
        function = item.get("function") if isinstance(item, dict) else None
        if isinstance(function, dict) and isinstance(name := function.get("name"), str):
            offered.append(Tool(name, function.get("parameters")))
    choice = body.get("tool_choice")
    if isinstance(choice, dict) and isinstance(choice.get("function"), dict):
        offered = [tool for tool in offered if tool.name == choice["function"].get("name")]
    return tuple(offered)


def _calls(ask: Ask, offered: Sequence[Tool]) -> int:
    """How many tools to call: none where none may be or one has just answered, else as many as the controls say."""
    choice = ask.body.get("tool_choice")
    if not offered or choice == "none":
        return 0
    if ask.controls.tools is not None:
        return min(ask.controls.tools, 1 if ask.body.get("parallel_tool_calls") is False else MAX_CALLS)
    last = ask.body["messages"][-1]
    return 0 if last.get("role") == "tool" and choice in (None, "auto") else 1


def _structure(body: dict[str, Any]) -> Any:
    wanted = body.get("response_format")
    if not isinstance(wanted, dict):
        return None
    if wanted.get("type") == "json_schema" and isinstance(wanted.get("json_schema"), dict):
        return wanted["json_schema"].get("schema") or {"type": "object"}
    if wanted.get("type") == "json_object":
        return {"type": "object", "properties": {"answer": {"type": "string"}}}
    return None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
