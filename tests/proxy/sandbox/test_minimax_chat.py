import json

import pytest
from hypothesis import given

from proxy.sandbox.minimax_chat import NATIVE_ROLES, answer, answer_native
from proxy.sandbox.words import MARKER, count
from tests.fakes.sandbox_asks import ANY_BODY, ask, body_of, events_of

COMPATIBLE = "/v1/chat/completions"
NATIVE = "/v1/text/chatcompletion_v2"
HI = {"model": "MiniMax-M2.7", "messages": [{"role": "user", "content": "hi"}]}
USAGE = {"stream": True, "stream_options": {"include_usage": True}}
TOOL = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}


def compatible(wishes="", **body):
    return answer(ask(COMPATIBLE, {**HI, **body}, wishes=wishes))


def native(wishes="", **body):
    return answer_native(ask(NATIVE, {**HI, **body}, wishes=wishes))


@given(ANY_BODY)
def test_any_object_gets_an_answer_or_a_refusal(body):
    assert answer(ask(COMPATIBLE, body)).status in {200, 400}
    assert answer_native(ask(NATIVE, body)).status == 200


def test_a_whole_answer_counts_what_it_says():
    body = body_of(compatible("tokens=20,reasoning=5", reasoning_split=True))
    message, usage = body["choices"][0]["message"], body["usage"]
    assert count(message["content"]) + count(message["reasoning_content"]) == usage["completion_tokens"] == 25
    assert message["content"].startswith(MARKER)
    assert message["reasoning_details"][0]["text"] == message["reasoning_content"]
    assert usage["completion_tokens_details"]["reasoning_tokens"] == 5
    assert body["base_resp"] == {"status_code": 0, "status_msg": ""}


def test_thinking_stands_in_the_content_unless_it_is_split_off():
    content = body_of(compatible())["choices"][0]["message"]["content"]
    assert content.startswith(f"<think>\n{MARKER}")
    assert f"</think>\n\n{MARKER}" in content


@pytest.mark.parametrize(
    ("model", "thinking", "thinks"),
    [
        ("MiniMax-M3", None, True),
        ("MiniMax-M3", {"type": "disabled"}, False),
        ("MiniMax-M2.5", {"type": "disabled"}, True),
        ("M2-her", None, False),
    ],
)
def test_thinking_is_on_where_it_is_left_out(model, thinking, thinks):
    body = body_of(compatible(model=model, thinking=thinking))
    assert ("<think>" in body["choices"][0]["message"]["content"]) is thinks


def test_m3_thinks_without_saying_how_much():
    usage = body_of(compatible(model="MiniMax-M3"))["usage"]
    assert "completion_tokens_details" not in usage
    assert "prompt_tokens_details" in usage


def test_shape_a_states_usage_in_a_frame_of_its_own_when_asked():
    *chunks, last, done = events_of(compatible(**USAGE))
    assert all(chunk["usage"] is None for chunk in chunks)
    assert all(chunk["choices"][0]["delta"]["role"] == "assistant" for chunk in chunks)
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert chunks[-1]["choices"][0]["delta"]["content"]
    assert (last["choices"], last["usage"]) == ([], body_of(compatible())["usage"])
    assert last["base_resp"]["status_code"] == 0
    assert done == "[DONE]"


def test_shape_a_has_no_usage_at_all_when_it_is_not_asked_for():
    *chunks, done = events_of(compatible(stream=True))
    assert {chunk["usage"] for chunk in chunks} == {None}
    assert done == "[DONE]"


def test_shape_b_repeats_the_message_in_its_last_frame_and_has_no_end_marker():
    *chunks, last = events_of(compatible(model="MiniMax-M2.5", stream=True))
    assert all(chunk["usage"] == {"total_tokens": 0, "total_characters": 0} for chunk in chunks)
    assert [chunk["choices"][0]["delta"]["role"] for chunk in chunks[:3]] == ["assistant", "", ""]
    text = "".join(chunk["choices"][0]["delta"]["content"] for chunk in chunks)
    whole = body_of(compatible(model="MiniMax-M2.5"))
    assert last["object"] == "chat.completion"
    assert last["choices"][0]["message"]["content"] == text == whole["choices"][0]["message"]["content"]
    assert last["usage"] == whole["usage"]


@pytest.mark.parametrize(("shape", "last"), [("a", "[DONE]"), ("b", None)])
def test_the_shape_can_be_asked_for(shape, last):
    events = events_of(compatible(f"shape={shape}", stream=True))
    assert (events[-1] == "[DONE]") is (last == "[DONE]")


def test_m2_her_takes_roles_of_its_own_on_the_native_path_only():
    messages = [{"role": role, "content": "hi"} for role in NATIVE_ROLES]
    body = body_of(native(model="M2-her", messages=messages))
    assert body["base_resp"]["status_code"] == 0
    assert set(body["usage"]) == {"total_tokens", "total_characters", "prompt_tokens", "completion_tokens"}
    refused = compatible(model="M2-her", messages=messages)
    assert (refused.status, body_of(refused)["error"]["http_code"]) == (400, "400")


def test_a_stream_of_m2_her_states_its_total_only():
    last = events_of(native(model="M2-her", stream=True))[-1]
    whole = body_of(native(model="M2-her"))
    assert last["usage"] == {"total_tokens": whole["usage"]["total_tokens"]}


def test_tool_calls_have_an_index_and_their_stream_builds_the_same_arguments():
    message = body_of(compatible(tools=[TOOL]))["choices"][0]["message"]
    call = message["tool_calls"][0]
    assert (call["index"], call["id"][-2:]) == (0, "_1")
    assert json.loads(call["function"]["arguments"])["city"].startswith(MARKER)
    pieces = [
        piece
        for event in events_of(compatible(tools=[TOOL], stream=True))[:-1]
        for piece in event["choices"][0]["delta"].get("tool_calls", [])
    ]
    assert "".join(piece["function"]["arguments"] for piece in pieces) == call["function"]["arguments"]


def test_members_that_minimax_does_not_know_change_nothing_but_a_warning():
    plain, warned = body_of(compatible()), body_of(compatible(n=3, stop="answer"))
    assert len(warned["choices"]) == 1
    assert "answer" in warned["choices"][0]["message"]["content"]
    assert warned["base_resp"] == {
        "status_code": 0,
        "status_msg": 'Invalid parameters detected, json: unknown field "stop"',
    }
    assert plain["base_resp"]["status_msg"] == ""


def test_the_native_path_hides_its_errors_in_a_good_status():
    for given_answer, code in ((native("error=base:1008"), 1008), (native("error=base:1002", stream=True), 1002)):
        body = body_of(given_answer)
        assert (given_answer.status, body["choices"], body["base_resp"]["status_code"]) == (200, None, code)
        assert body["usage"] == {"total_tokens": 0, "total_characters": 0}
        assert body["base_resp"]["status_msg"].startswith(MARKER)


def test_the_compatible_path_states_the_same_errors_as_statuses():
    given_answer = compatible("error=base:1008")
    assert given_answer.status == 402
    error = body_of(given_answer)["error"]
    assert error["type"] == "insufficient_balance_error"
    assert error["message"].endswith("(1008)")


def test_a_status_asked_for_is_a_status_on_both_paths():
    assert native("error=500").status == compatible("error=500").status == 500


def test_an_error_in_the_stream_is_a_frame_without_choices():
    events = events_of(compatible("error=stream:1027", stream=True))
    assert events[-1]["choices"] is None
    assert events[-1]["output_sensitive"] is True
    assert events[-1]["base_resp"]["status_code"] == 1027
    assert len(events) > 2


def test_a_bad_key_is_refused_as_each_path_refuses():
    refused = answer(ask(COMPATIBLE, HI, authorization="Bearer bad"))
    assert (refused.status, body_of(refused)["error"]["type"]) == (401, "authorized_error")
    hidden = answer_native(ask(NATIVE, HI, authorization="Bearer bad"))
    assert (hidden.status, body_of(hidden)["base_resp"]["status_code"]) == (200, 1004)


@pytest.mark.parametrize("body", [{"model": ""}, {"messages": []}, {"thinking": {"type": "enabled"}}])
def test_what_minimax_would_refuse_is_refused_with_2013(body):
    refused = compatible(**body)
    assert refused.status == 400
    assert body_of(refused)["error"]["message"].endswith("(2013)")
    assert body_of(native(**body))["base_resp"]["status_code"] == 2013


def test_the_answer_states_its_service_tier():
    assert body_of(compatible())["service_tier"] == "standard"
    assert body_of(compatible(service_tier="priority"))["service_tier"] == "priority"


def test_the_request_id_of_an_error_is_the_one_in_the_headers():
    refused = compatible("error=429")
    assert body_of(refused)["request_id"] == refused.headers["minimax-request-id"]
    assert "retry-after" not in refused.headers
