"""What a stream has brought so far is counted in every dialect, once, and however its bytes are cut."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.generated import TokenCount, text_bytes
from tests.fakes.wire import ROOT, load


@pytest.mark.parametrize(
    ("event", "size"),
    [
        ({"choices": [{"delta": {"content": "héllo"}}]}, 6),
        ({"choices": [{"delta": {"reasoning_content": "abc", "content": None}}]}, 3),
        ({"choices": [{"delta": {"tool_calls": [{"function": {"name": "f", "arguments": '{"a":1}'}}]}}]}, 7),
        ({"choices": [{"finish_reason": "stop", "message": {"content": "all of it again"}}]}, 0),
        ({"type": "content_block_delta", "delta": {"type": "text_delta", "text": "abcd"}}, 4),
        ({"type": "content_block_delta", "delta": {"type": "thinking_delta", "thinking": "ab"}}, 2),
        ({"type": "content_block_delta", "delta": {"type": "input_json_delta", "partial_json": "{"}}, 1),
        ({"type": "content_block_start", "content_block": {"type": "text", "text": "x"}}, 0),
        ({"type": "response.output_text.delta", "delta": "abc"}, 3),
        ({"type": "response.output_text.done", "text": "all of it again"}, 0),
        ({"type": "response.completed", "response": {"output": [{"content": [{"text": "again"}]}]}}, 0),
        ({"candidates": [{"content": {"parts": [{"text": "abc"}, {"text": "d", "thought": True}]}}]}, 4),
        ({"candidates": [{"content": {"parts": [{"functionCall": {"name": "f", "args": {"a": 1}}}]}}]}, 8),
        ({"type": "ping"}, 0),
        ([], 0),
        ("text", 0),
        (None, 0),
    ],
)
def test_the_text_of_an_event_is_what_the_model_wrote_and_nothing_twice(event, size):
    assert text_bytes(event) == size


def stream(*texts):
    events = [{"id": "x" * 100, "choices": [{"delta": {"content": text}}]} for text in texts]
    return b"".join(b"data: %b\n\n" % json.dumps(one).encode() for one in events) + b"data: [DONE]\n\n"


@given(st.lists(st.text(max_size=30), max_size=8), st.lists(st.integers(0, 3000), max_size=6))
def test_a_stream_has_no_more_and_no_fewer_tokens_for_being_cut(texts, cuts):
    data, whole, pieces = stream(*texts), TokenCount(), TokenCount()
    whole.feed(data)
    position = 0
    for cut in (*sorted(min(one, len(data)) for one in cuts), len(data)):
        pieces.feed(data[position:cut])
        position = cut

    assert pieces.tokens == whole.tokens
    assert whole.tokens >= sum(len(text.encode("utf-8", "replace")) for text in texts) / 2
    assert whole.tokens <= sum(len(text.encode("utf-8", "replace")) + 1 for text in texts) / 2


def test_any_bytes_are_counted_without_an_error():
    count = TokenCount()
    for data in (b"data: {\n\n", b"data: [[[\n\n", b"\xff\x00\n\n", b'data: {"delta":' + b"[" * 5000 + b"\n\n"):
        count.feed(data)

    assert count.tokens == 0


def recorded_streams():
    found = [load(path.parent) for path in sorted(ROOT.glob("*/meta.json"))] if ROOT.is_dir() else []
    return [case for case in found if b"data:" in case.body[:200] and "text" in case.expected]


@pytest.mark.parametrize("case", recorded_streams() or [None], ids=lambda case: case.id if case else "no corpus")
def test_all_text_of_recorded_streams_is_counted_and_none_of_it_twice(case):
    if case is None:
        pytest.skip("the corpus of recorded traffic is not there (TAXIMETER_WIRE)")
    said = "".join(case.expected.get(part) or "" for part in ("text", "reasoning_text"))
    calls = [str(call.get("arguments") or "") for call in case.expected.get("tool_calls") or []]
    count = TokenCount()
    count.feed(case.body)

    assert count.tokens * 2 >= len(said.encode())
    assert count.tokens * 2 <= 2 * len((said + "".join(calls)).encode()) + 40
