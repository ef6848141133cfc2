import json

import pytest
from hypothesis import given

from proxy.sandbox.anthropic_messages import answer, answer_count
from proxy.sandbox.words import MARKER, count
from tests.fakes.sandbox_asks import ANY_BODY, ask, body_of, events_of

PATH = "/v1/messages"
HI = {"model": "claude-haiku-4-5", "max_tokens": 500, "messages": [{"role": "user", "content": "hi"}]}
TOOL = {"name": "weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}
THINK = {"thinking": {"type": "adaptive"}}
RESULT = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "rain"}]}
CACHED = [{"type": "text", "text": "word " * 400, "cache_control": {"type": "ephemeral"}}]


def whole_of(wishes="", path=PATH, **body):
    return body_of(answer(ask(path, {**HI, **body}, wishes=wishes)))


def stream_of(wishes="", path=PATH, **body):
    return events_of(answer(ask(path, {**HI, "stream": True, **body}, wishes=wishes)))


def rebuilt(events):
    """The content blocks that the events of a stream build."""
    blocks = []
    for event in events:
        if event["type"] == "content_block_start":
            blocks.append(dict(event["content_block"]))
        elif event["type"] == "content_block_delta":
            kind, block = event["delta"]["type"], blocks[event["index"]]
            if kind == "input_json_delta":
                block["json"] = block.get("json", "") + event["delta"]["partial_json"]
            else:
                name = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "signature"}[kind]
                block[name] += event["delta"][name]
    for block in blocks:
        if "json" in block:
            block["input"] = json.loads(block.pop("json"))
    return blocks


@given(ANY_BODY)
def test_any_object_gets_an_answer_or_a_refusal(body):
    for speaker in (answer, answer_count):
        assert speaker(ask(PATH, body)).status in {200, 400}


def test_a_whole_answer_counts_what_it_says():
    body = whole_of("tokens=20")
    assert body["content"][0]["text"].startswith(f"{MARKER} simulated answer:")
    assert (body["usage"]["output_tokens"], count(body["content"][0]["text"])) == (20, 20)
    assert (body["stop_reason"], body["stop_sequence"]) == ("end_turn", None)
    assert body["model"] == "claude-haiku-4-5-20251001"


@pytest.mark.parametrize("body", [{}, THINK, {"tools": [TOOL]}, {**THINK, "tools": [TOOL, {**TOOL, "name": "time"}]}])
def test_a_stream_builds_what_the_whole_answer_says(body):
    whole = whole_of("tools=2", **body)
    events = stream_of("tools=2", **body)
    assert rebuilt(events) == whole["content"]
    assert events[0]["message"]["id"] == whole["id"]
    assert [event["type"] for event in events[-2:]] == ["message_delta", "message_stop"]
    assert events[-2]["delta"]["stop_reason"] == whole["stop_reason"]
    assert events[-2]["usage"]["output_tokens"] == whole["usage"]["output_tokens"]


def test_events_carry_their_name_and_frames_are_padded_with_blanks():
    parts = answer(ask(PATH, {**HI, "stream": True})).parts
    for part in parts:
        name, data = part.decode().split("\n")[:2]
        assert name == f"event: {json.loads(data.removeprefix('data: '))['type']}"
    assert any(b"}  " in part for part in parts)


def test_thinking_comes_first_and_counts_as_output():
    body = whole_of("reasoning=9,tokens=5", **THINK)
    assert [block["type"] for block in body["content"]] == ["thinking", "text"]
    assert body["content"][0]["thinking"].startswith(MARKER)
    assert body["usage"]["output_tokens"] == 14
    assert body["usage"]["output_tokens_details"]["thinking_tokens"] == 9


def test_a_tool_is_called_after_a_word_about_it():
    body = whole_of(tools=[TOOL])
    text, call = body["content"]
    assert text["text"].startswith(MARKER)
    assert (call["name"], body["stop_reason"]) == ("weather", "tool_use")
    assert call["input"]["city"].startswith(MARKER)


@pytest.mark.parametrize(
    ("body", "calls"),
    [
        ({"tools": [TOOL], "tool_choice": {"type": "none"}}, 0),
        ({"tools": [TOOL], "messages": [*HI["messages"], RESULT]}, 0),
        ({"tools": [TOOL], "messages": [*HI["messages"], RESULT], "tool_choice": {"type": "any"}}, 1),
        ({"tools": [TOOL], "tool_choice": {"type": "tool", "name": "weather"}}, 1),
        ({"tools": [TOOL], "wishes": "tools=3"}, 3),
        (
            {
                "tools": [TOOL],
                "wishes": "tools=3",
                "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
            },
            1,
        ),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, 0),
    ],
)
def test_tools_are_called_where_they_may_be(body, calls):
    assert [block["type"] for block in whole_of(**body)["content"]].count("tool_use") == calls


def test_a_tool_without_arguments_has_no_delta():
    events = stream_of(tools=[{"name": "now", "input_schema": {"type": "object"}}])
    assert all(
        event["delta"]["type"] != "input_json_delta" for event in events if "delta" in event and "index" in event
    )


def test_the_limit_and_the_stop_sequence_are_told_apart():
    assert whole_of("tokens=20", max_tokens=3)["stop_reason"] == "max_tokens"
    stopped = whole_of(stop_sequences=[" answer"])
    assert (stopped["stop_reason"], stopped["stop_sequence"]) == ("stop_sequence", " answer")
    assert stopped["content"][0]["text"] == f"{MARKER} simulated"


def test_the_parts_of_the_prompt_add_up_to_all_of_it():
    usage = whole_of(system=CACHED)["usage"]
    parts = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
    assert all(usage[part] > 0 for part in parts)
    assert usage["cache_creation"]["ephemeral_5m_input_tokens"] == usage["cache_creation_input_tokens"]
    counted = body_of(answer_count(ask(f"{PATH}/count_tokens", {**HI, "system": CACHED})))
    assert counted == {"input_tokens": sum(usage[part] for part in parts)}
    assert whole_of()["usage"]["cache_read_input_tokens"] == 0


def test_the_first_usage_of_a_stream_is_provisional():
    events = stream_of(system=CACHED)
    assert events[0]["message"]["usage"]["output_tokens"] == 1
    assert events[-2]["usage"]["output_tokens"] > 1
    assert "cache_creation" not in events[-2]["usage"]


def test_minimax_splits_the_prompt_wrongly_at_first():
    start, *_, delta, _ = stream_of(path="/minimax/anthropic/v1/messages", system=CACHED)
    assert start["message"]["usage"]["input_tokens"] == 0
    assert start["message"]["usage"]["cache_read_input_tokens"] > delta["usage"]["cache_read_input_tokens"] > 0
    assert delta["usage"]["input_tokens"] > 0


def test_minimax_ignores_stop_sequences_and_adds_its_base_resp():
    body = whole_of(path="/minimax/anthropic/v1/messages", stop_sequences=["answer"])
    assert body["stop_reason"] == "end_turn"
    assert body["base_resp"]["status_code"] == 0


def test_usage_can_be_left_out():
    assert "usage" not in whole_of("no_usage")
    events = stream_of("no_usage")
    assert "usage" not in events[0]["message"]
    assert "usage" not in events[-2]


@pytest.mark.parametrize(
    "body", [{"model": ""}, {"max_tokens": None}, {"messages": []}, {"messages": [{"role": "tool", "content": "x"}]}]
)
def test_what_anthropic_would_refuse_is_refused(body):
    refused = answer(ask(PATH, {**HI, **body}))
    assert refused.status == 400
    assert body_of(refused)["error"]["type"] == "invalid_request_error"


def test_a_bad_key_is_refused_in_the_words_of_whoever_is_asked():
    refused = answer(ask(PATH, HI, x_api_key="bad"))
    assert (refused.status, body_of(refused)["error"]["type"]) == (401, "authentication_error")
    assert body_of(refused)["request_id"] == refused.headers["request-id"]
    minimax = answer(ask("/minimax/anthropic/v1/messages", HI, x_api_key="bad"))
    assert body_of(minimax)["error"]["message"].endswith("(1004)")
    assert answer_count(ask(PATH, HI, x_api_key="bad")).status == 401


def test_an_error_in_the_stream_is_an_error_event():
    asked = answer(ask(PATH, {**HI, "stream": True}, wishes="error=stream:overloaded"))
    assert asked.parts[-1].startswith(b"event: error\n")
    assert events_of(asked)[-1]["error"]["type"] == "overloaded_error"
    assert answer(ask(PATH, HI, wishes="error=stream:overloaded")).status == 529


def test_an_error_asked_for_is_a_whole_body_also_for_a_stream():
    refused = answer(ask(PATH, {**HI, "stream": True}, wishes="error=429"))
    assert (refused.status, body_of(refused)["error"]["type"]) == (429, "rate_limit_error")
