import json

import pytest

from proxy.core.facts import RequestFacts
from proxy.core.usage import NO_USAGE, Usage
from proxy.dialects.gemini_generate import GEMINI_GENERATE
from tests.fakes.dialect_corpus import assert_reads_as_recorded, assert_request_reads_as_recorded, recorded
from tests.fakes.dialect_reading import facts_of, moment_of_content

JSON = "application/json"


@pytest.mark.parametrize("case", recorded(GEMINI_GENERATE))
def test_reads_recorded_answers_however_they_are_cut(case):
    assert_reads_as_recorded(GEMINI_GENERATE, case)


@pytest.mark.parametrize("case", recorded(GEMINI_GENERATE))
def test_reads_recorded_requests(case):
    assert_request_reads_as_recorded(GEMINI_GENERATE, case)


def answer(text="a", finish=None, usage=None, **members):
    candidate = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    metadata = {"usageMetadata": usage} if usage else {}
    return {"candidates": [candidate], "modelVersion": "gemini-3-pro", "responseId": "r1", **metadata, **members}


def as_events(*answers):
    return b"".join(b"data: " + json.dumps(part).encode() + b"\r\n\r\n" for part in answers)


def as_array(*answers):
    return b"[" + b"\n,\r\n".join(json.dumps(part, indent=2).encode() for part in answers) + b"\n]"


def body(value, **how):
    return facts_of(GEMINI_GENERATE, json.dumps(value).encode(), content_type=JSON, **how)


def figures(usage):
    return usage.input_tokens, usage.output_tokens, usage.total_tokens


def test_thinking_is_billed_output_and_prompts_of_tools_are_input():
    metadata = {
        "promptTokenCount": 100,
        "cachedContentTokenCount": 40,
        "candidatesTokenCount": 20,
        "thoughtsTokenCount": 30,
        "toolUsePromptTokenCount": 7,
        "totalTokenCount": 157,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 90}, {"modality": "AUDIO", "tokenCount": 10}],
        "candidatesTokensDetails": [{"modality": "AUDIO"}],
        "serviceTier": "priority",
    }
    facts = body(answer(finish="STOP", usage=metadata))
    assert facts.usage == Usage(
        input_tokens=107,
        output_tokens=50,
        total_tokens=157,
        cached_input_tokens=40,
        reasoning_tokens=30,
        audio_input_tokens=10,
        source="provider",
        origin="response.usage",
        complete=True,
    )
    assert facts.service_tier == "priority"


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"promptTokenCount": 15, "thoughtsTokenCount": 2, "totalTokenCount": 17}, (15, 2, 17)),
        ({"promptTokenCount": 14, "totalTokenCount": 14}, (14, 0, 14)),
        ({"promptTokenCount": 14, "totalTokenCount": 20}, (14, 6, 20)),
        ({"promptTokenCount": 14}, (14, None, None)),
        ({"totalTokenCount": 14}, (None, None, 14)),
    ],
)
def test_output_that_is_not_stated_is_what_the_total_leaves(metadata, expected):
    assert figures(body(answer(finish="STOP", usage=metadata)).usage) == expected


@pytest.mark.parametrize("wrapped", [as_events, as_array])
def test_the_last_figures_of_a_stream_count_even_if_they_are_less(wrapped):
    parts = wrapped(
        answer(usage={"promptTokenCount": 15, "totalTokenCount": 15}),
        answer(usage={"promptTokenCount": 15, "totalTokenCount": 15}),
        answer(finish="STOP", usage={"promptTokenCount": 13, "candidatesTokenCount": 8, "totalTokenCount": 21}),
    )
    for content_type in (JSON, "text/event-stream"):
        facts = facts_of(GEMINI_GENERATE, parts, content_type=content_type)
        assert figures(facts.usage) == (13, 8, 21)
        assert (facts.usage.complete, facts.usage.origin) == (True, "stream.last_usageMetadata")
        assert (facts.stream_end, facts.finish_reason, facts.model, facts.response_id) == (
            "eof",
            "STOP",
            "gemini-3-pro",
            "r1",
        )


@pytest.mark.parametrize(
    "metadata", [None, {}, {"promptTokensDetails": []}, {"promptTokenCount": 0, "totalTokenCount": 0}]
)
def test_metadata_without_figures_is_no_usage(metadata):
    assert body({"usageMetadata": metadata}).usage == NO_USAGE


def test_figures_of_a_stream_that_broke_are_not_complete():
    facts = facts_of(GEMINI_GENERATE, as_events(answer(usage={"promptTokenCount": 15, "totalTokenCount": 15})))
    assert (facts.usage.complete, facts.stream_end) == (False, "truncated")


@pytest.mark.parametrize(
    ("reason", "finish_class"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("PROHIBITED_CONTENT", "content_filter"),
        ("MALFORMED_FUNCTION_CALL", "error"),
        ("OTHER", "error"),
        ("BRAND_NEW", None),
    ],
)
def test_the_finish_of_candidate_0(reason, finish_class):
    value = answer(finish=reason)
    value["candidates"].append({"index": 1, "finishReason": "STOP"})
    facts = body(value)
    assert (facts.finish_reason, facts.finish_class) == (reason, finish_class)


def test_a_stop_for_a_function_call_is_of_class_tool():
    value = {
        "candidates": [{"content": {"parts": [{"functionCall": {"name": "f", "args": {}}}]}, "finishReason": "STOP"}]
    }
    assert body(value).finish_class == "tool"
    facts = facts_of(
        GEMINI_GENERATE,
        as_events(value | {"candidates": [{"content": value["candidates"][0]["content"]}]}, answer("", "STOP")),
    )
    assert facts.finish_class == "tool"


def test_an_unspecified_reason_is_none():
    assert body(answer(finish="FINISH_REASON_UNSPECIFIED")).finish_reason is None


def test_a_blocked_prompt_has_its_reason_as_finish():
    value = {
        "promptFeedback": {"blockReason": "PROHIBITED_CONTENT"},
        "usageMetadata": {"promptTokenCount": 9, "totalTokenCount": 9},
    }
    facts = body(value)
    assert (facts.finish_reason, facts.finish_class, figures(facts.usage)) == (
        "PROHIBITED_CONTENT",
        "content_filter",
        (9, 0, 9),
    )
    assert facts_of(GEMINI_GENERATE, as_events(value)).stream_end == "eof"


def test_feedback_beside_an_answer_blocks_nothing():
    facts = body(answer(finish="STOP", promptFeedback={"blockReason": "OTHER"}))
    assert (facts.finish_reason, facts.finish_class) == ("STOP", "stop")


@pytest.mark.parametrize("wrap", [lambda value: value, lambda value: [value]])
def test_an_error_reads_the_same_bare_and_in_an_array(wrap):
    error = {
        "code": 429,
        "message": "m",
        "status": "RESOURCE_EXHAUSTED",
        "details": [
            {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": "PerDayPerProject"}]},
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "30s"},
        ],
    }
    facts = body(wrap({"error": error}), status=429)
    assert (facts.error.code, facts.error.type, facts.error.message) == ("429", "RESOURCE_EXHAUSTED", "m")
    assert (facts.error.detail, facts.error.in_stream, facts.stream_end) == ("PerDayPerProject", False, None)


def test_an_error_in_a_stream_comes_after_its_head():
    facts = facts_of(
        GEMINI_GENERATE, as_events(answer(), {"error": {"code": 503, "message": "m", "status": "UNAVAILABLE"}})
    )
    assert (facts.error.code, facts.error.in_stream, facts.stream_end) == ("503", True, "error")


@pytest.mark.parametrize(
    ("part", "moment"),
    [
        ({"text": "a"}, 1),
        ({"text": "a", "thought": True}, 1),
        ({"functionCall": {"name": "f"}}, 1),
        ({"inlineData": {"mimeType": "image/png", "data": "AAAA"}}, 1),
        ({"text": ""}, None),
        ({"thoughtSignature": "AVSo"}, None),
    ],
)
def test_the_first_piece_of_content_is_seen_with_its_chunk(part, moment):
    first, second = answer(""), {"candidates": [{"content": {"parts": [part]}}]}
    assert moment_of_content(GEMINI_GENERATE, as_events(first), as_events(second)) == moment
    opening, rest = b"[" + json.dumps(first).encode() + b",", json.dumps(second).encode() + b"]"
    assert moment_of_content(GEMINI_GENERATE, opening, rest, content_type=JSON) == moment


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        ('{"contents":[]}', RequestFacts()),
        (
            '{"generationConfig":{"maxOutputTokens":64,"candidateCount":2}}',
            RequestFacts(max_output_tokens=64, choices=2),
        ),
        ('{"generation_config":{"max_output_tokens":64}}', RequestFacts(max_output_tokens=64)),
        ('{"serviceTier":"flex"}', RequestFacts(service_tier="flex")),
        ('{"generationConfig":[]}', RequestFacts()),
        ("", RequestFacts(unread="empty")),
        ("x", RequestFacts(unread="not_json")),
    ],
)
def test_what_a_request_asks_for(text, facts):
    assert GEMINI_GENERATE.read_request(text.encode()) == facts


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (400, "INVALID_ARGUMENT"),
        (404, "NOT_FOUND"),
        (429, "RESOURCE_EXHAUSTED"),
        (502, "UNAVAILABLE"),
        (504, "DEADLINE_EXCEEDED"),
    ],
)
def test_our_error_has_googles_envelope(status, name):
    text = GEMINI_GENERATE.error_body(status, "bad_route", "why", "call-1")
    error = json.loads(text)["error"]
    assert (error["code"], error["status"], error["message"]) == (status, name, "Taximeter: why")
    assert (error["details"][0]["reason"], error["details"][0]["metadata"]) == ("BAD_ROUTE", {"call_id": "call-1"})
    assert facts_of(GEMINI_GENERATE, text, status=status, content_type=JSON).error.type == name
