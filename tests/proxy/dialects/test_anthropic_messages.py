import json
from decimal import Decimal

import anthropic
import httpx2
import pytest

from proxy.core.facts import RequestFacts
from proxy.core.money import Money
from proxy.core.usage import NO_USAGE, Usage, UsagePart
from proxy.dialects.anthropic_messages import ANTHROPIC_MESSAGES
from tests.fakes.dialect_corpus import assert_reads_as_recorded, assert_request_reads_as_recorded, recorded
from tests.fakes.dialect_reading import facts_of, moment_of_content

MODEL = "claude-sonnet-5-20260801"


@pytest.mark.parametrize("case", recorded(ANTHROPIC_MESSAGES))
def test_reads_recorded_answers_however_they_are_cut(case):
    assert_reads_as_recorded(ANTHROPIC_MESSAGES, case)


@pytest.mark.parametrize("case", [case for case in recorded(ANTHROPIC_MESSAGES) if case.id != "ant-batch-create"])
def test_reads_recorded_requests(case):
    assert_request_reads_as_recorded(ANTHROPIC_MESSAGES, case)


def event(kind, **members):
    text = json.dumps({"type": kind, **members}, separators=(",", ":"))
    return f"event: {kind}\ndata: {text}   \n\n".encode()


def start(**usage):
    return event("message_start", message={"id": "msg_1", "model": MODEL, "content": [], "usage": usage})


def delta(stop_reason="end_turn", **usage):
    return event("message_delta", delta={"stop_reason": stop_reason}, usage=usage)


STOP = event("message_stop")


def stream(*events, **how):
    return facts_of(ANTHROPIC_MESSAGES, b"".join(events), **how)


def body(**members):
    text = json.dumps({"id": "msg_1", "type": "message", "model": MODEL, **members}).encode()
    return facts_of(ANTHROPIC_MESSAGES, text, content_type="application/json")


def inputs(usage):
    return usage.input_tokens, usage.cached_input_tokens, usage.cache_write_tokens


# usage


def test_uncached_cached_and_written_tokens_are_added_up():
    usage = {
        "input_tokens": 21,
        "cache_creation_input_tokens": 3000,
        "cache_read_input_tokens": 1500,
        "output_tokens": 12,
    }
    split = {"cache_creation": {"ephemeral_5m_input_tokens": 1000, "ephemeral_1h_input_tokens": 2000}}
    assert body(usage=usage | split).usage == Usage(
        input_tokens=4521,
        output_tokens=12,
        cached_input_tokens=1500,
        cache_write_tokens=3000,
        cache_write_5m_tokens=1000,
        cache_write_1h_tokens=2000,
        source="provider",
        origin="response.usage",
        complete=True,
    )


def test_writes_are_known_from_their_split_alone():
    usage = body(
        usage={"input_tokens": 1, "output_tokens": 1, "cache_creation": {"ephemeral_1h_input_tokens": 8}}
    ).usage
    assert (inputs(usage), usage.cache_write_1h_tokens) == ((9, None, 8), 8)


def test_what_a_delta_states_replaces_the_start_be_it_less():
    usage = stream(
        start(input_tokens=0, cache_read_input_tokens=1366),
        delta(input_tokens=1252, output_tokens=213, cache_read_input_tokens=114),
        STOP,
    ).usage
    assert (inputs(usage), usage.output_tokens) == ((1366, 114, None), 213)
    assert (usage.origin, usage.complete) == ("stream.message_delta", True)


def test_what_a_delta_does_not_state_stays_from_the_start():
    usage = stream(
        start(input_tokens=40, cache_read_input_tokens=3, output_tokens=1),
        delta(output_tokens=9, input_tokens=None),
        STOP,
    ).usage
    assert (inputs(usage), usage.output_tokens) == ((43, 3, None), 9)


def test_of_several_deltas_the_last_is_the_sum():
    assert (
        stream(
            start(input_tokens=4, output_tokens=1), delta(None, output_tokens=5), delta(output_tokens=9), STOP
        ).usage.output_tokens
        == 9
    )


def test_a_revised_sum_of_writes_without_its_split_has_no_split():
    split = {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 0}
    usage = stream(
        start(input_tokens=1, cache_creation_input_tokens=10, cache_creation=split),
        delta(output_tokens=2, cache_creation_input_tokens=30),
        STOP,
    ).usage
    assert (usage.cache_write_tokens, usage.cache_write_5m_tokens, usage.cache_write_1h_tokens) == (30, None, None)


def test_figures_of_the_start_alone_are_provisional():
    usage = stream(
        start(input_tokens=30, output_tokens=1), event("error", error={"type": "overloaded_error", "message": "m"})
    ).usage
    assert (usage.input_tokens, usage.output_tokens, usage.origin, usage.complete) == (
        30,
        1,
        "stream.message_start",
        False,
    )


@pytest.mark.parametrize("nothing", [None, {}, {"input_tokens": 0, "output_tokens": 0}])
def test_a_placeholder_is_no_measurement(nothing):
    assert body(usage=nothing).usage == NO_USAGE
    assert stream(start(**(nothing or {})), delta(**(nothing or {})), STOP).usage == NO_USAGE


def test_thinking_and_server_tools_are_read():
    usage = stream(
        start(input_tokens=5),
        delta(
            output_tokens=9,
            output_tokens_details={"thinking_tokens": 4},
            server_tool_use={"web_search_requests": 2, "web_fetch_requests": 0},
        ),
        STOP,
    ).usage
    assert (usage.reasoning_tokens, usage.units) == (4, {"web_search_requests": Decimal(2)})


def test_a_count_of_tokens_is_no_usage():
    text = b'{"input_tokens":588}'
    assert facts_of(ANTHROPIC_MESSAGES, text, content_type="application/json").usage == NO_USAGE


def test_money_of_a_reseller_is_read():
    assert body(usage={"input_tokens": 1, "output_tokens": 1, "cost": 0.25}).provider_cost == Money(
        Decimal("0.25"), "USD"
    )


# iterations


def iteration(kind="message", **members):
    return {"type": kind, "input_tokens": 100, "output_tokens": 10, "cache_read_input_tokens": 0, **members}


def test_iterations_are_what_is_billed():
    compaction = iteration("compaction", cache_read_input_tokens=55_096, output_tokens=83)
    usage = body(
        usage={
            "input_tokens": 181,
            "output_tokens": 8,
            "iterations": [compaction, iteration(input_tokens=181, output_tokens=8)],
        }
    ).usage
    assert (usage.input_tokens, usage.cached_input_tokens, usage.output_tokens) == (55_377, 55_096, 91)
    assert (usage.complete, usage.parts) == (True, ())


def test_iterations_of_further_models_are_parts_and_not_in_the_figures():
    advice = iteration("advisor_message", model="claude-opus-5", cache_creation_input_tokens=7)
    usage = body(usage={"input_tokens": 181, "output_tokens": 8, "iterations": [iteration(), advice]}).usage
    assert (usage.input_tokens, usage.output_tokens) == (100, 10)
    part = Usage(
        input_tokens=107,
        output_tokens=10,
        cached_input_tokens=0,
        cache_write_tokens=7,
        source="provider",
        complete=True,
    )
    assert usage.parts == (UsagePart(kind="advisor_message", model="claude-opus-5", usage=part),)


def test_an_answer_served_by_another_model_only_has_no_figures_of_its_own():
    usage = body(
        usage={
            "input_tokens": 100,
            "output_tokens": 10,
            "iterations": [iteration("fallback_message", model="claude-haiku-5")],
        }
    ).usage
    assert (usage.input_tokens, usage.output_tokens, len(usage.parts)) == (0, 0, 1)


@pytest.mark.parametrize("model", [None, MODEL, "claude-sonnet-5"])
def test_an_iteration_of_the_answering_model_may_leave_out_its_name_or_date(model):
    assert body(usage={"input_tokens": 1, "output_tokens": 1, "iterations": [iteration(model=model)]}).usage.parts == ()


@pytest.mark.parametrize("iterations", [None, [], [{}], [{"type": "message"}], ["text"], {}])
def test_without_figures_in_iterations_the_top_counts(iterations):
    assert body(usage={"input_tokens": 181, "output_tokens": 8, "iterations": iterations}).usage.input_tokens == 181


def test_iterations_of_a_delta_replace_those_of_the_start():
    usage = stream(
        start(input_tokens=1, iterations=[iteration()]),
        delta(output_tokens=2, iterations=[iteration(), iteration()]),
        STOP,
    ).usage
    assert usage.input_tokens == 200


# finish, names, errors


@pytest.mark.parametrize(
    ("reason", "finish_class"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool"),
        ("pause_turn", "pause"),
        ("refusal", "refusal"),
    ],
)
def test_the_stop_reason_has_its_class(reason, finish_class):
    for facts in (body(stop_reason=reason), stream(start(input_tokens=1), delta(reason, output_tokens=1), STOP)):
        assert (facts.finish_reason, facts.finish_class) == (reason, finish_class)


def test_names_are_read_from_the_message_and_the_tier_from_either_place():
    facts = stream(start(input_tokens=1, service_tier="priority"), delta(output_tokens=1), STOP)
    assert (facts.response_id, facts.model, facts.service_tier) == ("msg_1", MODEL, "priority")
    assert body(service_tier="standard").service_tier == "standard"


@pytest.mark.parametrize(
    ("events", "clean", "end"),
    [
        ([delta(output_tokens=1), STOP], True, "message_stop"),
        ([delta(output_tokens=1), STOP], False, "message_stop"),
        ([delta(output_tokens=1)], True, "eof"),
        ([event("ping")], True, "truncated"),
        ([event("error", error={"type": "overloaded_error", "message": "m"})], True, "error"),
    ],
)
def test_a_stream_says_how_it_ended(events, clean, end):
    assert stream(start(input_tokens=1), *events, clean=clean).stream_end == end


def test_an_error_in_a_stream_is_read_as_stated():
    error = stream(
        start(input_tokens=1), event("error", error={"type": "overloaded_error", "message": "Overloaded"})
    ).error
    assert (error.type, error.message, error.code, error.in_stream) == ("overloaded_error", "Overloaded", None, True)


def test_minimaxs_code_is_found_in_the_message_and_in_base_resp():
    text = b'{"type":"error","error":{"type":"authentication_error","message":"login fail (1004)"}}'
    assert facts_of(ANTHROPIC_MESSAGES, text, status=401, content_type="application/json").error.code == "1004"
    assert body(base_resp={"status_code": 1027, "status_msg": "output new_sensitive"}).error.code == "1027"
    assert body(base_resp={"status_code": 0, "status_msg": ""}).error is None


# content


@pytest.mark.parametrize(
    "piece",
    [
        event("content_block_delta", delta={"type": "text_delta", "text": "a"}),
        event("content_block_delta", delta={"type": "thinking_delta", "thinking": "a"}),
        event("content_block_delta", delta={"type": "input_json_delta", "partial_json": "{"}),
        event("content_block_start", content_block={"type": "text", "text": "a"}),
        event("content_block_start", content_block={"type": "tool_use", "name": "f", "input": {}}),
        event("content_block_start", content_block={"type": "redacted_thinking", "data": "a"}),
    ],
)
def test_the_first_piece_of_content_is_seen_with_its_event(piece):
    opening = event("content_block_start", content_block={"type": "text", "text": ""})
    assert moment_of_content(ANTHROPIC_MESSAGES, start(input_tokens=1), event("ping"), opening, piece) == 3


@pytest.mark.parametrize(
    "piece",
    [
        event("content_block_start", content_block={"type": "thinking", "thinking": "", "signature": ""}),
        event("content_block_delta", delta={"type": "signature_delta", "signature": "a"}),
        event("content_block_delta", delta={"type": "text_delta", "text": ""}),
        event("content_block_stop", index=0),
        delta(output_tokens=1),
    ],
)
def test_what_says_nothing_is_no_content(piece):
    assert moment_of_content(ANTHROPIC_MESSAGES, start(input_tokens=1), piece) is None


# requests and our own errors


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        (
            '{"model":"m","stream":true,"max_tokens":64,"service_tier":"auto","messages":[]}',
            RequestFacts(model="m", streaming=True, max_output_tokens=64, service_tier="auto"),
        ),
        ('{"model":"m","max_tokens":"many"}', RequestFacts(model="m")),
        ("", RequestFacts(unread="empty")),
        ("[", RequestFacts(unread="not_json")),
    ],
)
def test_what_a_request_asks_for(text, facts):
    assert ANTHROPIC_MESSAGES.read_request(text.encode()) == facts


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (402, "billing_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (413, "request_too_large"),
        (418, "invalid_request_error"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (502, "api_error"),
        (504, "timeout_error"),
        (529, "overloaded_error"),
    ],
)
def test_our_error_has_the_type_of_its_status(status, kind):
    assert json.loads(ANTHROPIC_MESSAGES.error_body(status, "some_code", "why", "call-1")) == {
        "type": "error",
        "error": {"type": kind, "message": "Taximeter: why (some_code)"},
        "request_id": "call-1",
    }


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, anthropic.AuthenticationError), (429, anthropic.RateLimitError), (502, anthropic.InternalServerError)],
)
def test_the_official_sdk_takes_our_error_for_what_it_is(status, kind):
    answer = ANTHROPIC_MESSAGES.error_body(status, "connect_error", "the upstream is away", "call-1")
    transport = httpx2.MockTransport(lambda _: httpx2.Response(status, content=answer))
    client = anthropic.Anthropic(api_key="k", max_retries=0, http_client=httpx2.Client(transport=transport))
    with pytest.raises(kind, match="Taximeter: the upstream is away") as raised:
        client.messages.create(model="m", max_tokens=1, messages=[{"role": "user", "content": "x"}])
    assert raised.value.body["request_id"] == "call-1"
