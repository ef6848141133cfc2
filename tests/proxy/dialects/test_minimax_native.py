import json

import pytest

from proxy.core.usage import NO_USAGE
from proxy.dialects.minimax_native import MINIMAX_NATIVE
from tests.fakes.dialect_corpus import assert_reads_as_recorded, assert_request_reads_as_recorded, recorded
from tests.fakes.dialect_reading import facts_of, sse


@pytest.mark.parametrize("case", recorded(MINIMAX_NATIVE))
def test_reads_recorded_answers_however_they_are_cut(case):
    assert_reads_as_recorded(MINIMAX_NATIVE, case)


@pytest.mark.parametrize("case", recorded(MINIMAX_NATIVE))
def test_reads_recorded_requests(case):
    assert_request_reads_as_recorded(MINIMAX_NATIVE, case)


def test_the_roles_of_m2_her_do_not_disturb_the_reading():
    roles = ["system", "user_system", "group", "sample_message_user", "sample_message_ai", "user", "assistant"]
    messages = [{"role": role, "name": "n", "content": "c"} for role in roles]
    request = {"model": "M2-her", "messages": messages, "stream": True, "max_completion_tokens": 2048}
    facts = MINIMAX_NATIVE.read_request(json.dumps(request).encode())
    assert (facts.model, facts.streaming, facts.max_output_tokens) == ("M2-her", True, 2048)


def test_a_stream_of_m2_her_ends_with_the_message_again_and_a_total_only():
    stream = sse(
        b'{"id":"i","choices":[{"index":0,"delta":{"content":"The lamp","role":"assistant"}}],"model":"M2-her",'
        b'"object":"chat.completion.chunk","usage":{"total_tokens":0,"total_characters":0}}',
        b'{"id":"i","choices":[{"finish_reason":"stop","index":0,"message":{"content":"The lamp","role":"assistant"}}],'
        b'"model":"M2-her","object":"chat.completion","usage":{"total_tokens":73},"base_resp":{"status_code":0}}',
    )
    facts = facts_of(MINIMAX_NATIVE, stream)
    assert (facts.finish_reason, facts.stream_end, facts.model) == ("stop", "eof", "M2-her")
    assert (facts.usage.total_tokens, facts.usage.input_tokens, facts.usage.complete) == (73, None, False)


def test_a_failure_stands_under_a_good_status():
    text = b'{"choices":null,"model":"M2-her","usage":{"total_tokens":0},"base_resp":{"status_code":1002,"status_msg":"m"}}'
    facts = facts_of(MINIMAX_NATIVE, text, content_type="application/json")
    assert (facts.error.status, facts.error.code, facts.error.message, facts.usage) == (200, "1002", "m", NO_USAGE)


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (400, "bad_request_error", 2013),
        (401, "authorized_error", 1004),
        (429, "rate_limit_error", 1002),
        (502, "api_error", 1000),
        (504, "api_error", 1001),
        (529, "overloaded_error", 2064),
    ],
)
def test_our_error_has_both_of_minimaxs_envelopes(status, kind, code):
    answer = MINIMAX_NATIVE.error_body(status, "bad_route", "no such path", "call-1")
    assert json.loads(answer) == {
        "type": "error",
        "error": {
            "type": kind,
            "message": f"Taximeter: no such path ({code})",
            "http_code": str(status),
            "code": "bad_route",
        },
        "request_id": "call-1",
        "base_resp": {"status_code": code, "status_msg": "Taximeter: no such path"},
    }
