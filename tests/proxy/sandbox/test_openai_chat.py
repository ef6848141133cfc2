import json

import pytest
from hypothesis import given

from proxy.sandbox.openai_chat import answer
from proxy.sandbox.words import MARKER, count
from tests.fakes.sandbox_asks import ANY_BODY, ask, body_of, events_of

PATH = "/v1/chat/completions"
HI = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}
USAGE = {"stream": True, "stream_options": {"include_usage": True}}
TOOLS = [
    {
        "type": "function",
        "function": {"name": name, "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
    }
    for name in ("weather", "time")
]


def whole_of(wishes="", path=PATH, **body):
    return body_of(answer(ask(path, {**HI, **body}, wishes=wishes)))


def stream_of(wishes="", path=PATH, **body):
    return events_of(answer(ask(path, {**HI, "stream": True, **body}, wishes=wishes)))


def joined(events, index=0):
    deltas = [choice["delta"] for event in events[:-1] for choice in event["choices"] if choice["index"] == index]
    return "".join(delta.get("content") or "" for delta in deltas)


@given(ANY_BODY)
def test_any_object_gets_an_answer_or_a_refusal(body):
    for path in (PATH, "/openai/deployments/d/chat/completions", "/deepseek/chat/completions"):
        assert answer(ask(path, body)).status in {200, 400}


def test_a_whole_answer_counts_what_it_says():
    body = whole_of("tokens=20")
    message, usage = body["choices"][0]["message"], body["usage"]
    assert message["content"].startswith(f"{MARKER} simulated answer:")
    assert (usage["completion_tokens"], count(message["content"])) == (20, 20)
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert body["model"] == "gpt-4o-mini-2024-07-18"
    assert body["choices"][0]["finish_reason"] == "stop"


def test_a_stream_says_what_the_whole_answer_says():
    whole = whole_of()
    events = stream_of()
    assert joined(events) == whole["choices"][0]["message"]["content"]
    assert {event["id"] for event in events[:-1]} == {whole["id"]}
    assert events[-1] == "[DONE]"
    assert events[-2]["choices"][0]["finish_reason"] == "stop"


def test_usage_of_a_stream_is_stated_when_it_is_asked_for_and_else_nowhere():
    assert all("usage" not in event for event in stream_of()[:-1])
    *chunks, last, done = stream_of(**USAGE)
    assert all(chunk["usage"] is None for chunk in chunks)
    assert (last["choices"], last["usage"]) == ([], whole_of()["usage"])
    assert done == "[DONE]"
    assert stream_of("no_usage", **USAGE) == stream_of()


def test_several_choices_differ_and_their_tokens_are_added_up():
    body = whole_of("tokens=20", n=3)
    assert len({choice["message"]["content"] for choice in body["choices"]}) == 3
    assert [choice["index"] for choice in body["choices"]] == [0, 1, 2]
    assert body["usage"]["completion_tokens"] == 60
    events = stream_of("tokens=20", n=3)
    assert [joined(events, at) for at in range(3)] == [choice["message"]["content"] for choice in body["choices"]]
    assert [event["choices"][0]["index"] for event in events[:6]] == [0, 1, 2, 0, 1, 2]


def test_the_limit_ends_an_answer_with_length():
    body = whole_of("tokens=20", max_tokens=3)
    assert body["choices"][0]["finish_reason"] == "length"
    assert body["usage"]["completion_tokens"] == 3


def test_a_stop_sequence_ends_an_answer_with_stop():
    choice = whole_of(stop=" answer")["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == (f"{MARKER} simulated", "stop")


def test_tools_are_called_with_arguments_that_are_json():
    choice = whole_of("tools=2", tools=TOOLS)["choices"][0]
    calls = choice["message"]["tool_calls"]
    assert choice["message"]["content"] is None
    assert choice["finish_reason"] == "tool_calls"
    assert [call["function"]["name"] for call in calls] == ["weather", "time"]
    assert json.loads(calls[0]["function"]["arguments"])["city"].startswith(MARKER)


def test_streamed_calls_put_together_are_the_whole_calls():
    built: dict = {}
    for event in stream_of("tools=2", tools=TOOLS)[:-1]:
        for piece in event["choices"][0]["delta"].get("tool_calls", []):
            known = built.setdefault(piece["index"], {"function": {"name": "", "arguments": ""}})
            known |= {key: piece[key] for key in ("id", "type") if key in piece}
            for key in ("name", "arguments"):
                known["function"][key] += piece["function"].get(key, "")
    whole = whole_of("tools=2", tools=TOOLS)["choices"][0]["message"]["tool_calls"]
    assert [built[0], built[1]] == whole


def test_reasoning_models_think_in_secret_and_count_it():
    usage = whole_of("reasoning=9,tokens=5", model="gpt-5")["usage"]
    assert usage["completion_tokens"] == 14
    assert usage["completion_tokens_details"]["reasoning_tokens"] == 9
    silent = whole_of("tokens=5", model="gpt-5", reasoning_effort="none")["usage"]
    assert silent["completion_tokens_details"]["reasoning_tokens"] == 0


def test_half_of_a_long_prompt_counts_as_cached():
    body = whole_of(messages=[{"role": "user", "content": "word " * 1100}])["usage"]
    assert body["prompt_tokens_details"]["cached_tokens"] == body["prompt_tokens"] // 2 // 128 * 128 > 0
    assert whole_of()["usage"]["prompt_tokens_details"]["cached_tokens"] == 0
    assert whole_of("cached=2")["usage"]["prompt_tokens_details"]["cached_tokens"] == 2


@pytest.mark.parametrize(
    ("asked", "answered"), [("auto", "default"), ("flex", "flex"), ("fast", "priority"), (None, "default")]
)
def test_the_answer_states_its_service_tier(asked, answered):
    assert whole_of(service_tier=asked)["service_tier"] == answered


@pytest.mark.parametrize(
    "body", [{"model": ""}, {"messages": []}, {"messages": [{"role": "group"}]}, {"n": 0}, {"n": 99}, {"n": "2"}]
)
def test_what_openai_would_refuse_is_refused(body):
    given = answer(ask(PATH, {**HI, **body}))
    assert given.status == 400
    assert body_of(given)["error"]["type"] == "invalid_request_error"


def test_a_bad_key_is_refused():
    given = answer(ask(PATH, HI, authorization="Bearer bad"))
    assert (given.status, body_of(given)["error"]["code"]) == (401, "invalid_api_key")


def test_an_error_asked_for_is_a_whole_body_also_for_a_stream():
    given = answer(ask(PATH, {**HI, "stream": True}, wishes="error=429"))
    assert (given.status, body_of(given)["error"]["code"]) == (429, "rate_limit_exceeded")


def test_an_error_in_the_stream_comes_after_half_and_nothing_comes_after_it():
    events = events_of(answer(ask(PATH, {**HI, "stream": True}, wishes="error=stream:overloaded")))
    assert events[-1]["error"]["code"] == "overloaded"
    assert len(events) > 2
    assert answer(ask(PATH, HI, wishes="error=stream:overloaded")).status == 503


def test_azure_begins_with_its_prompt_filter():
    path = "/openai/deployments/gpt-4o/chat/completions"
    first = stream_of(path=path, model=None)[0]
    assert (first["choices"], first["model"]) == ([], "")
    assert "prompt_filter_results" in first
    body = whole_of(path=path, model=None)
    assert body["model"] == "gpt-4o-2024-11-20"
    assert body["prompt_filter_results"]
    assert "apim-request-id" in answer(ask(path, {**HI, "model": None})).headers


def test_deepseek_states_usage_in_the_chunk_that_finishes():
    model = "deepseek-reasoner"
    given = answer(ask("/chat/completions", {**HI, "model": model, "stream": True}))
    assert given.parts[0] == b": keep-alive\n\n"
    *chunks, last, done = events_of(given)
    assert not any("usage" in chunk for chunk in chunks)
    usage = last["usage"]
    assert last["choices"][0]["finish_reason"] == "stop"
    assert usage["prompt_cache_hit_tokens"] + usage["prompt_cache_miss_tokens"] == usage["prompt_tokens"]
    thought = "".join(chunk["choices"][0]["delta"].get("reasoning_content") or "" for chunk in chunks)
    whole = whole_of(path="/chat/completions", model=model)["choices"][0]["message"]
    assert (thought, done) == (whole["reasoning_content"], "[DONE]")
    *chunks, last, done = stream_of(path="/chat/completions", model=model, **USAGE)
    assert all(chunk["usage"] is None for chunk in chunks)
    assert last["usage"] == usage


def test_the_same_request_gets_the_same_bytes():
    assert answer(ask(PATH, {**HI, **USAGE})) == answer(ask(PATH, {**HI, **USAGE}))
