import json
from decimal import Decimal

import pytest

from proxy.core.chat import ChatReader, read_chat_request
from proxy.core.facts import RequestFacts
from proxy.core.money import Money
from proxy.core.usage import NO_USAGE, Usage
from tests.fakes.dialect_reading import facts_of, moment_of_content, sse


class Chat:
    """A dialect that is nothing but the shared reader."""

    def reader(self, head, max_bytes=1 << 20):
        return ChatReader(head, max_bytes)


CHAT = Chat()
REAL = {"prompt_tokens": 41, "completion_tokens": 16, "total_tokens": 57}
PLACEHOLDER = {"total_tokens": 0, "total_characters": 0}
DONE = "[DONE]"


def chunk(delta=None, finish=None, index=0, **members):
    choice = {"index": index, "delta": {} if delta is None else delta, "finish_reason": finish}
    return {"id": "c1", "object": "chat.completion.chunk", "model": "m", "choices": [choice], **members}


def stream(*chunks, **how):
    return facts_of(
        CHAT, sse(*(part.encode() if part == DONE else json.dumps(part).encode() for part in chunks)), **how
    )


def body(**members):
    return facts_of(CHAT, json.dumps(members).encode(), content_type="application/json")


def figures(usage):
    return usage.input_tokens, usage.output_tokens, usage.total_tokens


# usage: where it stands


@pytest.mark.parametrize(
    ("chunks", "origin"),
    [
        ([chunk(finish="stop"), {"choices": [], "usage": REAL}], "stream.usage_chunk"),
        ([chunk(finish="stop", usage=REAL)], "stream.finish_chunk"),
        ([chunk(usage=REAL), chunk(finish="stop", usage=None)], "stream.chunk"),
        ([chunk(finish="stop", x_groq={"usage": REAL | {"queue_time": 0.1}})], "stream.finish_chunk"),
        (
            [chunk(finish="stop"), {"choices": [{"index": 0, "usage": REAL, "finish_reason": "stop"}]}],
            "stream.finish_chunk",
        ),
        ([chunk(finish="stop"), {"choices": [], "usage": REAL}, {"choices": [], "usage": None}], "stream.usage_chunk"),
        ([chunk(finish="stop"), chunk(usage=REAL, error={"code": 400})], "stream.error_chunk"),
    ],
)
def test_usage_is_read_wherever_it_stands_in_a_stream(chunks, origin):
    usage = stream(*chunks, DONE).usage
    assert (figures(usage), usage.origin, usage.source, usage.complete) == ((41, 16, 57), origin, "provider", True)


def test_usage_of_a_body():
    usage = body(choices=[], usage=REAL).usage
    assert (figures(usage), usage.origin, usage.complete) == ((41, 16, 57), "response.usage", True)


def test_the_details_are_parts_of_the_sums():
    details = {
        "prompt_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 4, "audio_tokens": 5},
        "completion_tokens_details": {"reasoning_tokens": 6, "audio_tokens": 7, "rejected_prediction_tokens": 1},
    }
    usage = body(usage=REAL | details).usage
    assert usage == Usage(
        input_tokens=41,
        output_tokens=16,
        total_tokens=57,
        cached_input_tokens=3,
        cache_write_tokens=4,
        audio_input_tokens=5,
        reasoning_tokens=6,
        audio_output_tokens=7,
        source="provider",
        origin="response.usage",
        complete=True,
    )


def test_null_details_are_not_reported_and_lose_nothing():
    usage = body(usage=REAL | {"prompt_tokens_details": None, "completion_tokens_details": None}).usage
    assert (figures(usage), usage.cached_input_tokens) == ((41, 16, 57), None)


def test_deepseeks_cache_hits_are_cached_input():
    assert (
        body(usage=REAL | {"prompt_cache_hit_tokens": 30, "prompt_cache_miss_tokens": 11}).usage.cached_input_tokens
        == 30
    )
    assert body(usage={"prompt_cache_hit_tokens": 30, "prompt_cache_miss_tokens": 11}).usage.input_tokens == 41


def test_moonshots_cached_tokens_stand_at_the_top():
    assert body(usage=REAL | {"cached_tokens": 8}).usage.cached_input_tokens == 8


# usage: which figures count


@pytest.mark.parametrize(
    "nothing", [None, PLACEHOLDER, {}, {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}]
)
def test_a_placeholder_is_no_measurement(nothing):
    assert stream(chunk(usage=nothing), chunk(finish="stop", usage=nothing), DONE).usage == NO_USAGE
    assert body(choices=[], usage=nothing).usage == NO_USAGE


def test_a_placeholder_after_real_figures_changes_nothing():
    assert figures(stream(chunk(finish="stop", usage=REAL), chunk(usage=PLACEHOLDER), DONE).usage) == (41, 16, 57)


def test_the_last_real_figures_win_and_are_never_added():
    growing = [{"prompt_tokens": 7, "completion_tokens": n, "total_tokens": 7 + n} for n in (1, 2, 3)]
    usage = stream(*(chunk({"content": "a"}, usage=figure) for figure in growing), chunk(finish="stop"), DONE).usage
    assert figures(usage) == (7, 3, 10)


def test_figures_may_shrink():
    assert (
        stream(chunk(usage=REAL), chunk(finish="stop", usage=REAL | {"prompt_tokens": 40}), DONE).usage.input_tokens
        == 40
    )


def test_a_figure_that_a_later_object_leaves_out_stays():
    detailed = REAL | {"prompt_tokens_details": {"cached_tokens": 9}}
    usage = stream(
        chunk(usage=detailed), chunk(finish="stop", usage=REAL | {"prompt_tokens_details": None}), DONE
    ).usage
    assert usage.cached_input_tokens == 9


def test_a_total_alone_is_not_split():
    usage = stream(
        chunk({"content": "a"}, "stop"), {"object": "chat.completion", "choices": [], "usage": {"total_tokens": 73}}
    ).usage
    assert (figures(usage), usage.complete, usage.origin) == ((None, None, 73), False, "stream.final_frame")


def test_reasoning_beyond_the_output_is_left_as_reported():
    usage = body(usage=REAL | {"completion_tokens_details": {"reasoning_tokens": 17}}).usage
    assert (usage.output_tokens, usage.reasoning_tokens) == (16, 17)


@pytest.mark.parametrize("junk", ["lots", -5, 1e30, [], {}, True])
def test_a_figure_of_a_wrong_type_is_not_reported_and_loses_no_other(junk):
    usage = body(id="c1", usage=REAL | {"completion_tokens": junk}).usage
    assert (usage.input_tokens, usage.output_tokens, usage.complete) == (41, None, False)


def test_figures_in_strings_and_as_floats_count():
    assert figures(body(usage={"prompt_tokens": "41", "completion_tokens": 16.0, "total_tokens": "57"}).usage) == (
        41,
        16,
        57,
    )


# usage: whether it is complete


def test_running_figures_of_a_stream_that_broke_are_not_complete():
    assert not stream(chunk({"content": "a"}, usage=REAL)).usage.complete
    assert not stream(chunk({"content": "a"}, usage=REAL), {"error": {"message": "m"}}).usage.complete


def test_final_figures_stay_complete_when_the_stream_breaks_after_them():
    assert stream(chunk(finish="stop"), {"choices": [], "usage": REAL}, clean=False).usage.complete
    assert stream(chunk(finish="stop", usage=REAL), clean=False).usage.complete
    assert stream(chunk(finish="stop"), chunk(usage=REAL), clean=False).usage.complete


# money


@pytest.mark.parametrize(
    ("member", "amount"),
    [
        ('"cost":0.0133176', "0.0133176"),
        ('"cost":3.2e-06', "0.0000032"),
        ('"cost":0', "0"),
        ('"cost_usd_total":4.2e-05', "0.000042"),
    ],
)
def test_money_that_the_provider_states_is_taken_exactly(member, amount):
    text = b'{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1,%b}}' % member.encode()
    facts = facts_of(CHAT, text, content_type="application/json")
    assert facts.provider_cost == Money(Decimal(amount), "USD")


@pytest.mark.parametrize("cost", [{"total_cost": 1}, "free", -1, None])
def test_money_that_is_none_loses_no_figure(cost):
    facts = body(usage=REAL | {"cost": cost})
    assert (facts.provider_cost, facts.usage.input_tokens) == (None, 41)


def test_searches_are_units():
    assert body(usage=REAL | {"server_tool_use_details": {"web_search_requests": 2}}).usage.units == {
        "web_search_requests": Decimal(2)
    }
    assert body(usage=REAL | {"server_tool_use_details": {"web_search_requests": 0}}).usage.units == {}


# names


def test_the_answering_model_tier_and_id_are_those_of_the_answer():
    facts = stream(
        {"id": "", "model": "", "object": "", "choices": [], "prompt_filter_results": [{}]},
        chunk(service_tier="flex"),
        DONE,
    )
    assert (facts.response_id, facts.model, facts.service_tier) == ("c1", "m", "flex")


def test_empty_names_are_not_reported():
    facts = body(id="", model="", service_tier=None, choices=None)
    assert (facts.response_id, facts.model, facts.service_tier) == (None, None, None)


# finish


@pytest.mark.parametrize(
    ("reason", "finish_class"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("tool_calls", "tool"),
        ("content_filter", "content_filter"),
        ("error", "error"),
    ],
)
def test_the_finish_of_choice_0(reason, finish_class):
    facts = stream(chunk(finish="other", index=1), chunk(finish=reason), chunk(finish="other", index=1), DONE)
    assert (facts.finish_reason, facts.finish_class) == (reason, finish_class)


def test_a_null_finish_takes_nothing_back():
    assert stream(chunk(finish="length"), chunk(), DONE).finish_reason == "length"


def test_choices_without_an_index_are_counted():
    assert body(choices=[{"finish_reason": "length"}, {"finish_reason": "stop"}]).finish_reason == "length"


def test_a_refusal_is_stated_beside_a_plain_stop():
    assert (
        body(choices=[{"message": {"content": None, "refusal": "no"}, "finish_reason": "stop"}]).finish_class
        == "refusal"
    )
    assert (
        stream(chunk({"refusal": "n"}), chunk({"refusal": "o"}), chunk(finish="stop"), DONE).finish_class == "refusal"
    )
    assert stream(chunk({"refusal": "n"}), chunk(finish="length"), DONE).finish_class == "length"
    assert stream(chunk({"refusal": "n"}, index=1), chunk(finish="stop"), DONE).finish_class == "stop"


def test_a_last_frame_that_repeats_the_message_gives_its_usage_and_finish():
    last = {
        "id": "c1",
        "object": "chat.completion",
        "choices": [{"message": {"content": "ab"}, "finish_reason": "stop"}],
        "usage": REAL,
    }
    facts = stream(chunk({"content": "a"}, usage=PLACEHOLDER), chunk({"content": "b"}, "stop", usage=PLACEHOLDER), last)
    assert (figures(facts.usage), facts.usage.origin, facts.finish_reason) == (
        (41, 16, 57),
        "stream.final_frame",
        "stop",
    )
    assert facts.stream_end == "eof"


# errors


def test_an_error_in_a_chunk_keeps_the_figures_beside_it():
    facts = stream(chunk({"content": "a"}, "length"), chunk(error={"code": 400, "message": "m"}, usage=REAL), DONE)
    assert (facts.error.code, facts.error.message, facts.error.in_stream) == ("400", "m", True)
    assert (facts.usage.complete, facts.stream_end) == (True, "done_marker")


def test_an_error_inside_a_choice_is_one():
    facts = body(
        choices=[{"message": {"content": "a"}, "finish_reason": "error", "error": {"code": 502, "message": "m"}}]
    )
    assert (facts.error.code, facts.finish_class) == ("502", "error")


def test_a_failure_of_minimax_under_a_good_status_is_an_error():
    failed = {
        "choices": None,
        "usage": PLACEHOLDER,
        "base_resp": {"status_code": 1008, "status_msg": "insufficient balance"},
    }
    facts = body(**failed)
    assert (facts.error.code, facts.error.message, facts.usage) == ("1008", "insufficient balance", NO_USAGE)
    facts = stream(chunk({"content": "a"}), failed)
    assert (facts.error.code, facts.error.in_stream, facts.stream_end) == ("1008", True, "error")


def test_a_warning_of_minimax_is_no_error():
    assert body(choices=[], usage=REAL, base_resp={"status_code": 0, "status_msg": "unknown field"}).error is None


# content


@pytest.mark.parametrize(
    "delta",
    [
        {"content": "a"},
        {"content": [{"type": "thinking", "thinking": []}]},
        {"reasoning_content": "a"},
        {"reasoning": "a"},
        {"reasoning_details": [{"type": "reasoning.text", "text": "a"}]},
        {"thinking": "a"},
        {"refusal": "a"},
        {"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": ""}}]},
        {"function_call": {"name": "f"}},
        {"audio": {"id": "a"}},
    ],
)
def test_the_first_piece_of_content_is_seen_with_its_chunk(delta):
    pieces = [
        sse(json.dumps(part).encode())
        for part in (chunk({"role": "assistant", "content": ""}), chunk(delta), chunk(finish="stop"))
    ]
    assert moment_of_content(CHAT, *pieces) == 1


@pytest.mark.parametrize(
    "delta",
    [
        {},
        {"role": "assistant"},
        {"role": "assistant", "content": "", "refusal": None, "audio_content": ""},
        {"content": None, "reasoning_content": "", "tool_calls": [], "reasoning_details": []},
        {"reasoning_details": [{"type": "reasoning.text", "text": ""}]},
    ],
)
def test_roles_and_empty_deltas_are_no_content(delta):
    assert moment_of_content(CHAT, sse(json.dumps(chunk(delta)).encode())) is None


def test_content_of_another_choice_is_content():
    assert moment_of_content(CHAT, sse(json.dumps(chunk({"content": "b"}, index=1)).encode())) == 0


@pytest.mark.parametrize(
    "choice", [{"text": "a"}, {"messages": [{"role": "tool", "content": "a"}]}, {"message": {"content": "a"}}]
)
def test_content_of_other_shapes_is_content(choice):
    assert moment_of_content(CHAT, sse(json.dumps({"choices": [choice]}).encode())) == 0


# requests


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        ('{"model":"m"}', RequestFacts(model="m")),
        ('{"model":"m","stream":true}', RequestFacts(model="m", streaming=True)),
        ('{"stream":"true","n":"2"}', RequestFacts(streaming=True, choices=2)),
        ('{"max_tokens":5}', RequestFacts(max_output_tokens=5)),
        ('{"max_tokens":5,"max_completion_tokens":7}', RequestFacts(max_output_tokens=7)),
        ('{"tokens_to_generate":9}', RequestFacts(max_output_tokens=9)),
        ('{"service_tier":"priority"}', RequestFacts(service_tier="priority")),
        ('{"stream_options":{}}', RequestFacts(has_stream_options=True)),
        ('{"stream_options":null}', RequestFacts(has_stream_options=True)),
        ('{"stream_options":"x","n":"x","model":5}', RequestFacts(has_stream_options=True, model="5")),
        ('{"stream_options":{"include_usage":true}}', RequestFacts(has_stream_options=True, include_usage=True)),
        ('{"stream_options":{"include_usage":false}}', RequestFacts(has_stream_options=True, include_usage=False)),
        ('{"stream_options":{"include_usage":"yes"}}', RequestFacts(has_stream_options=True)),
        ('{"messages":[{"role":"group","name":"the inn","content":"x"}]}', RequestFacts()),
        ("", RequestFacts(unread="empty")),
        ("{", RequestFacts(unread="not_json")),
        ("hello", RequestFacts(unread="not_json")),
    ],
)
def test_what_a_request_asks_for(text, facts):
    assert read_chat_request(text.encode()) == facts
