"""Requests to the sandbox without sockets, and its answers decoded, for the tests of its dialects."""

import gzip
import json

from hypothesis import strategies as st

from proxy.sandbox.exchange import read_ask

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 1 << 40) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
NAMES = [
    "model",
    "messages",
    "system",
    "stream",
    "stream_options",
    "n",
    "tools",
    "tool_choice",
    "max_tokens",
    "max_completion_tokens",
    "stop",
    "user",
    "metadata",
    "stop_sequences",
    "thinking",
    "response_format",
    "output_config",
    "reasoning_effort",
    "service_tier",
    "reasoning_split",
    "temperature",
]
"""Members that some dialect reads."""
ANY_BODY = st.fixed_dictionaries(
    {
        "model": st.sampled_from(["gpt-5", "MiniMax-M3", "M2-her", "deepseek-reasoner", "claude-haiku-4-5"]),
        "messages": st.just([{"role": "user", "content": "hi"}]) | ANY_JSON,
    },
    optional={name: ANY_JSON for name in NAMES if name not in {"model", "messages"}},
)
"""Objects that look like a request at first, with anything inside."""


def ask(path, body, *, seed=1, wishes="", **headers):
    """A request as the server would read it; `wishes` is the `x-sandbox` header."""
    heads = {name.replace("_", "-"): value for name, value in headers.items()}
    return read_ask(path, {**heads, "x-sandbox": wishes}, body, seed)


def body_of(answer):
    """The decoded JSON of a whole answer."""
    assert not answer.streaming
    data = b"".join(answer.parts)
    assert len(data) == answer.length_bytes
    return json.loads(gzip.decompress(data) if answer.headers.get("content-encoding") == "gzip" else data)


def events_of(answer):
    """The data of a stream's events: JSON values, or the text where it is none (`[DONE]`); comments left out."""
    assert answer.streaming
    data = b"".join(answer.parts)
    data = gzip.decompress(data) if answer.headers.get("content-encoding") == "gzip" else data
    found = []
    for block in data.decode().split("\n\n"):
        text = "\n".join(line.removeprefix("data: ") for line in block.split("\n") if line.startswith("data: "))
        if text:
            found.append(json.loads(text) if text != "[DONE]" else text)
    return found
