import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.error_body import MAX_MESSAGE, error_seen, is_failure
from proxy.core.errors import ErrorSeen


def seen(text, status=400, **how):
    return error_seen(json.loads(text), status, **how)


@pytest.mark.parametrize(
    ("text", "code", "kind", "message"),
    [
        ('{"error":{"message":"m","type":"t","param":null,"code":"c"}}', "c", "t", "m"),
        ('{"error":{"message":"m","type":null,"code":"content_filter","status":400}}', "content_filter", None, "m"),
        ('{"error":{"code":429,"message":"m","metadata":{}},"user_id":"u"}', "429", None, "m"),
        (
            '{"type":"error","error":{"type":"overloaded_error","message":"m"},"request_id":"r"}',
            None,
            "overloaded_error",
            "m",
        ),
        ('{"error":{"code":404,"message":"m","status":"NOT_FOUND"}}', "404", "NOT_FOUND", "m"),
        ('[{"error":{"code":404,"message":"m","status":"NOT_FOUND"}}]', "404", "NOT_FOUND", "m"),
        ('{"type":"error","error":{"type":"t","message":"m (2013)","http_code":"400"}}', "2013", "t", "m (2013)"),
        ('{"error":{"message":"login fail (1004) "}}', "1004", None, "login fail (1004) "),
        ('{"error":{"message":"too long (204503)"}}', None, None, "too long (204503)"),
        ('{"error":{"message":"m (1004)","code":"own"}}', "own", None, "m (1004)"),
        ('{"base_resp":{"status_code":1008,"status_msg":"m"}}', "1008", None, "m"),
        ('{"base_resp":{"status_code":"1008","status_msg":"m"},"error":null}', "1008", None, "m"),
        ('{"error":true,"status":402,"message":"m"}', "402", None, "m"),
        ('{"error":"m"}', None, None, "m"),
        ('{"error":"Unauthorized","message":"m","code":7}', "7", None, "m"),
        ('{"statusCode":401,"message":"m"}', "401", None, "m"),
        (
            '{"object":"error","message":"m","type":"BadRequestError","param":null,"code":40303}',
            "40303",
            "BadRequestError",
            "m",
        ),
        ('{"type":"error","code":"server_error","message":"m","param":null}', "server_error", None, "m"),
        ('{"detail":"m"}', None, None, "m"),
        ('{"message":"m"}', None, None, "m"),
        ('{"error":{"message":{"nested":1},"code":[]}}', None, None, None),
        ('{"error":{}}', None, None, None),
        ("{}", None, None, None),
        ("[]", None, None, None),
        ("7", None, None, None),
    ],
)
def test_reads_every_envelope(text, code, kind, message):
    found = seen(text)
    assert (found.code, found.type, found.message, found.status) == (code, kind, message, 400)


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        (
            '{"error":{"message":"m","innererror":{"code":"ResponsibleAIPolicyViolation"}}}',
            "ResponsibleAIPolicyViolation",
        ),
        ('{"error":{"message":"m","metadata":{"raw":"busy upstream"}}}', "busy upstream"),
        ('{"error":{"message":"m","metadata":{"raw":{"a":1}}}}', None),
        (
            '{"error":{"details":[{"reason":"API_KEY_INVALID"},{"violations":[{"quotaId":"PerDay"}]}]}}',
            "API_KEY_INVALID PerDay",
        ),
        ('{"error":{"details":{"error_code":"credits"}}}', "credits"),
        ('{"error":{"details":["text",{"violations":[7]}]}}', None),
    ],
)
def test_keeps_the_words_on_which_the_judgement_depends(text, detail):
    assert seen(text).detail == detail


@pytest.mark.parametrize(
    "text",
    [
        '{"choices":[]}',
        '{"error":null}',
        '{"error":false}',
        '{"error":""}',
        '{"message":"hello"}',
        '{"base_resp":{"status_code":0,"status_msg":"Invalid parameters detected"}}',
        '{"base_resp":{"status_code":"0"}}',
        '{"base_resp":null}',
    ],
)
def test_a_good_answer_states_no_error(text):
    assert seen(text, 200) is None


def test_an_error_under_a_good_status_is_one():
    assert seen('{"error":{"message":"m","code":502}}', 200) == ErrorSeen(status=200, code="502", message="m")


def test_a_bad_status_is_an_error_even_without_a_body():
    assert error_seen(None, 502) == ErrorSeen(status=502)


def test_says_whether_a_stream_had_begun():
    assert seen('{"error":{"message":"m"}}', 200, in_stream=True).in_stream


def test_a_message_is_kept_up_to_a_length():
    assert seen(json.dumps({"error": {"message": "x" * 9999}})).message == "x" * MAX_MESSAGE


@pytest.mark.parametrize(
    ("base_resp", "failed"),
    [
        ({"status_code": 1027}, True),
        ({"status_code": 0}, False),
        ({"status_code": None}, False),
        ({}, False),
        (7, False),
    ],
)
def test_only_a_code_other_than_zero_is_a_failure(base_resp, failed):
    assert is_failure(base_resp) is failed


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["error", "message", "code", "type", "details", "metadata", "base_resp", "status_code"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@given(json_values, st.sampled_from([200, 429]))
def test_any_value_is_judged_without_raising(value, status):
    found = error_seen(value, status)
    assert found is not None or status < 400
