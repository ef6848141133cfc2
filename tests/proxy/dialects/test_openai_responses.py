import json
from decimal import Decimal

import httpx2
import openai
import pytest

from proxy.core.facts import RequestFacts
from proxy.core.money import Money
from proxy.core.usage import NO_USAGE, Usage
from proxy.dialects.openai_responses import OPENAI_RESPONSES
from tests.fakes.dialect_corpus import assert_reads_as_recorded, assert_request_reads_as_recorded, recorded
from tests.fakes.dialect_reading import facts_of, moment_of_content

REAL = {"input_tokens": 20, "output_tokens": 16, "total_tokens": 36}


@pytest.mark.parametrize("case", recorded(OPENAI_RESPONSES))
def test_reads_recorded_answers_however_they_are_cut(case):
    assert_reads_as_recorded(OPENAI_RESPONSES, case)


@pytest.mark.parametrize("case", recorded(OPENAI_RESPONSES))
def test_reads_recorded_requests(case):
    assert_request_reads_as_recorded(OPENAI_RESPONSES, case)


def event(kind, **members):
    text = json.dumps({"type": kind, **members}, separators=(",", ":"))
    return f"event: {kind}\ndata: {text}\n\n".encode()


def response(status="completed", **members):
    return {
        "id": "resp_1",
        "object": "response",
        "model": "m",
        "status": status,
        "error": None,
        "usage": None,
        **members,
    }


CREATED = event("response.created", response=response("in_progress"))


def stream(*events, **how):
    return facts_of(OPENAI_RESPONSES, CREATED + b"".join(events), **how)


def body(**members):
    return facts_of(OPENAI_RESPONSES, json.dumps(response(**members)).encode(), content_type="application/json")


def test_usage_stands_in_the_response_of_the_last_event():
    details = {
        "input_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 4},
        "output_tokens_details": {"reasoning_tokens": 5},
    }
    for facts, origin in (
        (stream(event("response.completed", response=response(usage=REAL | details))), "stream.response_completed"),
        (body(usage=REAL | details), "response.usage"),
    ):
        assert facts.usage == Usage(
            input_tokens=20,
            output_tokens=16,
            total_tokens=36,
            cached_input_tokens=3,
            cache_write_tokens=4,
            reasoning_tokens=5,
            source="provider",
            origin=origin,
            complete=True,
        )


@pytest.mark.parametrize("status", ["queued", "in_progress"])
def test_a_response_in_the_background_has_no_usage_and_no_finish_yet(status):
    facts = body(status=status)
    assert (facts.usage, facts.finish_reason, facts.response_id) == (NO_USAGE, None, "resp_1")


def test_usage_of_a_response_that_still_runs_is_not_complete():
    assert not body(status="in_progress", usage=REAL).usage.complete


def test_a_placeholder_is_no_measurement():
    assert body(usage={"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}).usage == NO_USAGE


def test_a_count_of_tokens_is_no_usage():
    text = b'{"object":"response.input_tokens","input_tokens":588}'
    assert facts_of(OPENAI_RESPONSES, text, content_type="application/json").usage == NO_USAGE


@pytest.mark.parametrize(
    ("members", "searches"),
    [
        ({"tool_usage": {"web_search": {"num_requests": 3}}, "output": [{"type": "web_search_call"}]}, 3),
        ({"output": [{"type": "web_search_call"}, {"type": "web_search_call"}]}, 2),
        ({"output": [{"type": "message"}]}, None),
        ({"tool_usage": {"web_search": {"num_requests": 0}}, "output": [{"type": "web_search_call"}]}, None),
    ],
)
def test_searches_are_units(members, searches):
    added = event("response.output_item.added", item={"type": "web_search_call"})
    for facts in (
        body(usage=REAL, **members),
        stream(added, event("response.completed", response=response(usage=REAL, **members))),
    ):
        assert facts.usage.units == ({"web_search_requests": Decimal(searches)} if searches else {})


def test_money_of_a_reseller_is_read():
    assert body(usage=REAL | {"cost": 0.002}).provider_cost == Money(Decimal("0.002"), "USD")


@pytest.mark.parametrize(
    ("members", "reason", "finish_class"),
    [
        ({}, "completed", "stop"),
        ({"output": [{"type": "function_call", "name": "f"}]}, "completed", "tool"),
        ({"output": [{"type": "message", "content": [{"type": "refusal", "refusal": "no"}]}]}, "completed", "refusal"),
        (
            {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
            "incomplete:max_output_tokens",
            "length",
        ),
        (
            {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}},
            "incomplete:content_filter",
            "content_filter",
        ),
        ({"status": "incomplete", "incomplete_details": None}, "incomplete", None),
        ({"status": "failed", "error": {"code": "server_error", "message": "m"}}, "failed", "error"),
        ({"status": "cancelled"}, "cancelled", None),
    ],
)
def test_the_finish_is_the_final_status_with_its_reason(members, reason, finish_class):
    whole = body(**members)
    last = response(**members)
    streamed = stream(event(f"response.{last['status']}", response=last))
    for facts in (whole, streamed):
        assert (facts.finish_reason, facts.finish_class) == (reason, finish_class)


def test_a_refusal_is_seen_in_its_deltas():
    facts = stream(event("response.refusal.delta", delta="no"), event("response.completed", response=response()))
    assert facts.finish_class == "refusal"


@pytest.mark.parametrize(
    ("events", "clean", "end"),
    [
        ([event("response.completed", response=response())], True, "eof"),
        ([event("response.completed", response=response())], False, "eof"),
        ([event("response.completed", response=response()), b"data: [DONE]\n\n"], True, "done_marker"),
        ([event("response.output_text.delta", delta="a")], True, "truncated"),
        ([event("response.failed", response=response("failed", error={"code": "c", "message": "m"}))], True, "error"),
        ([event("error", code="c", message="m")], True, "error"),
    ],
)
def test_a_stream_says_how_it_ended(events, clean, end):
    assert stream(*events, clean=clean).stream_end == end


@pytest.mark.parametrize(
    "last",
    [
        event("error", code="server_error", message="m", param=None),
        event("error", error={"code": "server_error", "message": "m"}),
        event("response.failed", response=response("failed", error={"code": "server_error", "message": "m"})),
        b'data: {"error":{"code":"server_error","message":"m"}}\n\n',
    ],
)
def test_an_error_in_a_stream_is_read_in_every_form(last):
    error = stream(last).error
    assert (error.code, error.message, error.type, error.in_stream) == ("server_error", "m", None, True)


def test_a_failure_without_words_is_an_error_all_the_same():
    assert body(status="failed").error is not None
    assert stream(event("response.failed", response=response("failed"))).error is not None


def test_usage_of_a_failed_response_counts():
    facts = stream(event("response.failed", response=response("failed", error={"code": "c"}, usage=REAL)))
    assert (facts.usage.output_tokens, facts.usage.complete) == (16, True)


@pytest.mark.parametrize(
    ("piece", "moment"),
    [
        (event("response.output_text.delta", delta="a"), 1),
        (event("response.reasoning_summary_text.delta", delta="a"), 1),
        (event("response.function_call_arguments.delta", delta="{"), 1),
        (event("response.refusal.delta", delta="a"), 1),
        (event("response.output_item.added", item={"type": "function_call", "name": "f"}), 1),
        (event("response.output_text.delta", delta=""), None),
        (event("response.output_item.added", item={"type": "message", "content": []}), None),
        (event("response.content_part.added", part={"type": "output_text", "text": ""}), None),
        (event("response.in_progress", response=response("in_progress")), None),
    ],
)
def test_the_first_piece_of_content_is_seen_with_its_event(piece, moment):
    assert moment_of_content(OPENAI_RESPONSES, CREATED, piece) == moment


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        (
            '{"model":"m","stream":true,"max_output_tokens":64,"service_tier":"flex","input":"x"}',
            RequestFacts(model="m", streaming=True, max_output_tokens=64, service_tier="flex"),
        ),
        ('{"model":"m","stream":null}', RequestFacts(model="m")),
        ("", RequestFacts(unread="empty")),
        ("<", RequestFacts(unread="not_json")),
    ],
)
def test_what_a_request_asks_for(text, facts):
    assert OPENAI_RESPONSES.read_request(text.encode()) == facts


def test_the_official_sdk_takes_our_error_for_what_it_is():
    answer = OPENAI_RESPONSES.error_body(413, "body_too_large", "the body is too large", "call-1")
    transport = httpx2.MockTransport(lambda _: httpx2.Response(413, content=answer))
    client = openai.OpenAI(api_key="k", max_retries=0, http_client=httpx2.Client(transport=transport))
    with pytest.raises(openai.APIStatusError, match="Taximeter: the body is too large") as raised:
        client.responses.create(model="m", input="x")
    assert raised.value.code == "body_too_large"
