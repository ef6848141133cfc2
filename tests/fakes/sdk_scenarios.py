"""Scenarios of the SDK comparison: what an app may ask for, in one table for each SDK and one for a bare client."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

PACE = "ttfb_ms=0,pace_ms=0"
HI = [{"role": "user", "content": "Where is the taxi?"}]
WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1, "maximum": 7}},
    "required": ["city"],
}
TOOLS = [
    {"type": "function", "function": {"name": "weather", "parameters": WEATHER}},
    {"type": "function", "function": {"name": "time", "parameters": {"type": "object", "properties": {}}}},
]
CLAUDE_TOOLS = [{"name": "weather", "input_schema": WEATHER}, {"name": "time", "input_schema": {"type": "object"}}]
TOOL_LOOP = [
    *HI,
    {
        "role": "assistant",
        "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}],
    },
    {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
]
CLAUDE_TOOL_LOOP = [
    *HI,
    {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}}]},
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "rain"}]},
]
SCHEMA = {"type": "json_schema", "json_schema": {"name": "weather", "schema": WEATHER, "strict": True}}
USAGE = {"stream": True, "stream_options": {"include_usage": True}}
STREAM = {"stream": True}


@dataclass(frozen=True)
class Scenario:
    """One call of an SDK."""

    name: str
    asked: Mapping[str, Any]
    """Arguments of the call."""
    wishes: str = ""
    """Controls of the sandbox, sent as its header."""
    method: str = ""
    """Attributes from the client to the method; the SDK's usual one when empty."""
    base: str = ""
    """Below the server's URL; the provider's usual one when empty."""
    key: str = "any"
    retries: int = 0
    timeout_s: float = 10.0
    leaves_after: int | None = None
    """Chunks that are read of a stream before the app turns away."""
    helper: bool = False
    """Whether the SDK's own stream helper is used, which puts the pieces together."""


def gpt(name: str, wishes: str = "", /, *, model: str = "gpt-4o-mini", **rest: Any) -> Scenario:
    """A scenario of the openai SDK; what the Scenario does not know is an argument of the call."""
    return _scenario(name, wishes, {"model": model, "messages": HI}, rest)


def claude(name: str, wishes: str = "", /, *, model: str = "claude-haiku-4-5", **rest: Any) -> Scenario:
    """A scenario of the anthropic SDK; what the Scenario does not know is an argument of the call."""
    return _scenario(name, wishes, {"model": model, "max_tokens": 400, "messages": HI}, rest)


def _scenario(name: str, wishes: str, usual: dict[str, Any], rest: dict[str, Any]) -> Scenario:
    own = {key: rest.pop(key) for key in list(rest) if key in Scenario.__dataclass_fields__}
    return Scenario(name, own.pop("asked", {**usual, **rest}), wishes, **own)


OPENAI_SCENARIOS = (
    gpt("whole"),
    gpt("stream", **STREAM),
    gpt("stream with usage", **USAGE),
    gpt("stream that refuses usage", stream=True, stream_options={"include_usage": False}),
    gpt("three choices", n=3),
    gpt("stream of three choices", n=3, **STREAM),
    gpt("stream of three choices with usage", n=3, **USAGE),
    gpt("paced stream", "ttfb_ms=20,pace_ms=3,tokens=20", **STREAM),
    gpt("length", max_tokens=3),
    gpt("stream to its length", max_completion_tokens=3, **STREAM),
    gpt("stop sequence", stop=[" answer"]),
    gpt("service tier", service_tier="flex"),
    gpt("hidden reasoning", model="gpt-5", reasoning_effort="high"),
    gpt("structured", response_format=SCHEMA),
    gpt("tool call", tools=TOOLS),
    gpt("parallel tool calls", "tools=3", tools=TOOLS),
    gpt("stream of tool calls", "tools=3", tools=TOOLS, **STREAM),
    gpt("stream of tool calls with usage", "tools=2", tools=TOOLS, **USAGE),
    gpt("tool loop", messages=TOOL_LOOP, tools=TOOLS),
    gpt("helper stream", helper=True),
    gpt("helper stream of tool calls", "tools=2", helper=True, tools=TOOLS),
    gpt("long stream", "tokens=3000,chunk_tokens=3,pace_ms=0", **STREAM),
    gpt("long prompt", messages=[{"role": "user", "content": "word " * 60_000}]),
    gpt("gzip", "gzip"),
    gpt("gzip stream", "gzip", **STREAM),
    gpt("gzip stream with usage", "gzip", **USAGE),
    gpt("no usage", "no_usage"),
    gpt("stream without the usage that was asked for", "no_usage", **USAGE),
    *(gpt(f"error {status}", f"error={status}") for status in (400, 401, 402, 403, 404, 408, 413, 429, 500, 503, 529)),
    *(gpt(f"error {status} for a stream", f"error={status}", **STREAM) for status in (400, 429, 500)),
    gpt("error in the stream", "error=stream:500", **STREAM),
    gpt("error in the stream with usage", "error=stream:overloaded", **USAGE),
    gpt("error tried again", "error=429,retry_after_ms=1", retries=2),
    gpt("bad key", key="bad"),
    gpt("invalid request", messages=[]),
    gpt("cut body", "cut"),
    gpt("cut stream", "cut", **STREAM),
    gpt("cut stream with usage", "cut", **USAGE),
    gpt("stalled body", "stall", timeout_s=1.0),
    gpt("stalled stream", "stall", timeout_s=1.0, **STREAM),
    gpt("malformed body", "malformed"),
    gpt("malformed stream", "malformed", **STREAM),
    gpt("empty body", "empty"),
    gpt("empty stream", "empty", **STREAM),
    gpt("app that leaves", "tokens=300", leaves_after=3, **STREAM),
    gpt("models", method="models.list", asked={}),
    gpt("one model", method="models.retrieve", asked={"model": "gpt-4o"}),
    gpt("unknown model", method="models.retrieve", asked={"model": "none"}),
    *(
        gpt(f"{model} {how}", base="/minimax/v1", model=model, **more)
        for model in ("MiniMax-M3", "MiniMax-M2.7", "MiniMax-M2.5", "M2-her")
        for how, more in (("whole", {}), ("stream", STREAM), ("stream with usage", USAGE), ("tools", {"tools": TOOLS}))
    ),
    gpt(
        "minimax split reasoning",
        base="/minimax/v1",
        model="MiniMax-M3",
        extra_body={"reasoning_split": True},
        **STREAM,
    ),
    gpt("minimax error", "error=1008", base="/minimax/v1", model="MiniMax-M3"),
    gpt("minimax error in the stream", "error=stream:1027", base="/minimax/v1", model="MiniMax-M3", **STREAM),
    gpt("minimax models", base="/minimax/v1", method="models.list", asked={}),
    gpt("deepseek whole", base="/deepseek", model="deepseek-reasoner"),
    gpt("deepseek stream", base="/deepseek", model="deepseek-reasoner", **STREAM),
    gpt("deepseek stream with usage", base="/deepseek", model="deepseek-chat", **USAGE),
    gpt("deepseek error", "error=402", base="/deepseek", model="deepseek-chat"),
)

THINK = {"thinking": {"type": "adaptive"}}
CACHED = [{"type": "text", "text": "word " * 400, "cache_control": {"type": "ephemeral"}}]

ANTHROPIC_SCENARIOS = (
    claude("whole"),
    claude("stream", **STREAM),
    claude("paced stream", "ttfb_ms=20,pace_ms=3,tokens=20", **STREAM),
    claude("thinking", **THINK),
    claude("stream of thinking", **THINK, **STREAM),
    claude("helper stream", helper=True, **THINK),
    claude("tool call", tools=CLAUDE_TOOLS),
    claude("stream of tool calls", "tools=3", tools=CLAUDE_TOOLS, **STREAM),
    claude("helper stream of tool calls", "tools=3", helper=True, tools=CLAUDE_TOOLS),
    claude(
        "tool loop",
        messages=CLAUDE_TOOL_LOOP,
        tools=CLAUDE_TOOLS,
    ),
    claude("cache", system=CACHED),
    claude("stream with cache", system=CACHED, **STREAM),
    claude("length", max_tokens=3),
    claude("stop sequence", stop_sequences=[" answer"]),
    claude("long stream", "tokens=3000,chunk_tokens=3,pace_ms=0", max_tokens=4000, **STREAM),
    claude("gzip", "gzip"),
    claude("gzip stream", "gzip", **STREAM),
    claude("no usage in the stream", "no_usage", **STREAM),
    *(claude(f"error {status}", f"error={status}") for status in (400, 401, 402, 403, 404, 413, 429, 500, 529)),
    claude("error for a stream", "error=529", **STREAM),
    claude("error in the stream", "error=stream:overloaded", **STREAM),
    claude("error tried again", "error=529,retry_after_ms=1", retries=2),
    claude("bad key", key="bad"),
    claude("invalid request", messages=[]),
    claude("cut body", "cut"),
    claude("cut stream", "cut", **STREAM),
    claude("stalled stream", "stall", timeout_s=1.0, **STREAM),
    claude("malformed stream", "malformed", **STREAM),
    claude("empty stream", "empty", **STREAM),
    claude("app that leaves", "tokens=300", leaves_after=3, **STREAM),
    claude("count", method="messages.count_tokens", asked={"model": "claude-haiku-4-5", "messages": HI}),
    claude("models", method="models.list", asked={}),
    claude("minimax whole", base="/minimax/anthropic", model="MiniMax-M3", **THINK),
    claude("minimax stream", base="/minimax/anthropic", model="MiniMax-M3", system=CACHED, **STREAM),
    claude("minimax tools", base="/minimax/anthropic", model="MiniMax-M3", tools=CLAUDE_TOOLS, **STREAM),
    claude("minimax error", "error=1004", base="/minimax/anthropic", model="MiniMax-M3"),
    claude("minimax error in the stream", "error=stream:2064", base="/minimax/anthropic", model="MiniMax-M3", **STREAM),
)


@dataclass(frozen=True)
class Raw:
    """One request of a bare client."""

    name: str
    method: str
    path: str
    body: Mapping[str, Any] | bytes | None = None
    wishes: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    decoded: bool = False
    """Compare the decoded body: a content coding may be made anew where the proxy has taken something out."""


CHAT = {"model": "gpt-4o-mini", "messages": HI}
CLAUDE = {"model": "claude-haiku-4-5", "max_tokens": 400, "messages": HI}
HER = {"model": "M2-her", "messages": [{"role": "user_system", "content": "a sailor"}, *HI]}
DEPLOYMENT = "/azure/openai/deployments/gpt-4o/chat/completions?api-version=2024-12-01-preview"
NATIVE = "/minimax/v1/text/chatcompletion_v2"

RAW_REQUESTS = (
    *(
        Raw(f"{name} {how}", "POST", path, {**body, **more}, wishes)
        for name, path, body in (
            ("openai", "/openai/v1/chat/completions", CHAT),
            ("anthropic", "/anthropic/v1/messages", CLAUDE),
            ("minimax", "/minimax/v1/chat/completions", {**CHAT, "model": "MiniMax-M3"}),
            ("minimax older", "/minimax/v1/chat/completions", {**CHAT, "model": "MiniMax-M2.5"}),
            ("minimax anthropic", "/minimax/anthropic/v1/messages", {**CLAUDE, "model": "MiniMax-M3"}),
            ("minimax native", NATIVE, HER),
            ("deepseek", "/deepseek/chat/completions", {**CHAT, "model": "deepseek-chat"}),
            ("azure", DEPLOYMENT, {"messages": HI}),
            ("openrouter", "/openrouter/api/v1/chat/completions", {**CHAT, "model": "openai/gpt-4o-mini"}),
        )
        for how, more, wishes in (
            ("whole", {}, ""),
            ("stream", STREAM, ""),
            ("stream with usage", USAGE, ""),
            ("error", {}, "error=429"),
            ("hidden error", {}, "error=base:1008"),
            ("error in the stream", STREAM, "error=stream:1027"),
            ("cut stream", STREAM, "cut"),
            ("malformed stream", STREAM, "malformed"),
            ("empty stream", STREAM, "empty"),
            ("gzip", {}, "gzip"),
        )
    ),
    Raw("gzip stream", "POST", "/openai/v1/chat/completions", {**CHAT, **STREAM}, "gzip", decoded=True),
    Raw("gzip stream with usage", "POST", "/openai/v1/chat/completions", {**CHAT, **USAGE}, "gzip"),
    Raw("gzip stream of claude", "POST", "/anthropic/v1/messages", {**CLAUDE, **STREAM}, "gzip"),
    Raw("native roles", "POST", NATIVE, {**HER, "messages": [{"role": "group", "content": "tavern"}, *HI]}),
    Raw("count", "POST", "/anthropic/v1/messages/count_tokens", {"model": "claude-haiku-4-5", "messages": HI}),
    Raw("models", "GET", "/openai/v1/models?limit=%32&x=a%2Fb"),
    Raw("head of models", "HEAD", "/openai/v1/models"),
    Raw("wrong method", "DELETE", "/openai/v1/chat/completions"),
    Raw("unknown path", "POST", "/anthropic/v1/none", {"a": 1}),
    Raw("no json", "POST", "/openai/v1/chat/completions", b'{"model": '),
    Raw("json in an encoding of its own", "POST", "/openai/v1/chat/completions", b"\xff\xfe\x00"),
    Raw("unknown wish", "POST", "/openai/v1/chat/completions", CHAT, "colour=red"),
    Raw("bad key", "POST", NATIVE, HER, headers={"authorization": "Bearer bad"}),
)
