from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.errors import ErrorClass, ErrorSeen
from proxy.providers.judgement import class_of_status, class_of_text, classify, effective_status, text_of

CLASSES = set(get_args(ErrorClass))
WORDS = st.none() | st.text(max_size=30) | st.sampled_from(["insufficient_quota", "server_error", "429", "model"])


def seen(status=200, code=None, type_=None, message=None, detail=None):
    return ErrorSeen(status=status, code=code, type=type_, message=message, detail=detail)


@pytest.mark.parametrize(
    ("status", "error_class"),
    [
        (400, "invalid_request"),
        (401, "auth"),
        (402, "billing"),
        (403, "permission"),
        (404, "invalid_request"),
        (405, "invalid_request"),
        (408, "timeout"),
        (409, "invalid_request"),
        (413, "request_too_large"),
        (415, "invalid_request"),
        (422, "invalid_request"),
        (429, "rate_limit"),
        (500, "server_error"),
        (502, "server_error"),
        (503, "overloaded"),
        (504, "timeout"),
        (520, "server_error"),
        (524, "timeout"),
        (529, "overloaded"),
        (599, "server_error"),
        (200, "unknown"),
        (302, "unknown"),
        (0, "unknown"),
    ],
)
def test_a_bare_status_has_a_class(status, error_class):
    assert class_of_status(status) == error_class
    assert classify(seen(status)) == error_class


@pytest.mark.parametrize(
    ("error", "error_class"),
    [
        (seen(429, "insufficient_quota", "insufficient_quota", "You exceeded your current quota"), "quota_exhausted"),
        (seen(429, None, "insufficient_quota"), "quota_exhausted"),
        (seen(429, "rate_limit_exceeded", "tokens"), "rate_limit"),
        (seen(429, "billing_hard_limit_reached"), "billing"),
        (seen(400, "context_length_exceeded", "invalid_request_error"), "context_length"),
        (seen(400, "content_policy_violation"), "content_filter"),
        (seen(400, "content_filter"), "content_filter"),
        (seen(404, "DeploymentNotFound", message="The API deployment for this resource"), "model_not_found"),
        (seen(403, "unsupported_country_region_territory"), "permission"),
        (seen(503, "slow_down"), "overloaded"),
        (seen(500, None, "overloaded_error"), "overloaded"),
        (seen(401, "invalid_api_key", "invalid_request_error"), "auth"),
    ],
)
def test_a_telling_code_or_type_wins_over_the_status(error, error_class):
    assert classify(error) == error_class


@pytest.mark.parametrize(
    ("message", "error_class"),
    [
        ("This model's maximum context length is 8192 tokens", "context_length"),
        ("prompt is too long: 204503 tokens > 200000 maximum", "context_length"),
        ("input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000", "context_length"),
        ("The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).", "context_length"),
        ("Your credit balance is too low to access the Anthropic API.", "billing"),
        ("Insufficient Balance", "billing"),
        ("The model `gpt-9` does not exist or you do not have access to it.", "model_not_found"),
        ("gpt-x is not a valid model ID", "model_not_found"),
        ("No endpoints found for acme/none.", "model_not_found"),
        ("Content Exists Risk", "content_filter"),
        ("The prompt triggered our content management policy", "content_filter"),
        ("invalid params, media exceeds size limit", "request_too_large"),
        ("`temperature` is deprecated for this model.", "invalid_request"),
        ("Unsupported parameter: 'max_tokens' is not supported with this model.", "invalid_request"),
        ("Token limit reached", "invalid_request"),
        ("", "invalid_request"),
    ],
)
def test_where_the_status_says_little_the_text_tells(message, error_class):
    for status in (400, 422):
        assert classify(seen(status, None, "invalid_request_error", message)) == error_class
    assert classify(seen(200, None, "invalid_request_error", message)) == error_class


def test_where_the_status_says_enough_the_text_is_not_asked():
    assert classify(seen(429, message="the context length of your queue")) == "rate_limit"
    assert classify(seen(500, message="unknown model state")) == "server_error"
    assert classify(seen(402, "invalid_request_error", "unknown_error", "Insufficient Balance")) == "billing"


def test_the_text_tells_a_missing_model_from_another_missing_thing():
    assert classify(seen(404, None, "not_found_error", "model: claude-9")) == "model_not_found"
    assert classify(seen(404, None, None, "models/none is not found for API version v1beta")) == "model_not_found"
    assert classify(seen(404, None, None, "No such File object: file-1")) == "invalid_request"


def test_the_detail_counts_as_text():
    assert classify(seen(400, message="Provider returned error", detail="context window exceeded")) == "context_length"
    assert classify(seen(400, message="filtered", detail="ResponsibleAIPolicyViolation")) == "content_filter"


def test_an_error_inside_a_good_answer_states_its_status_as_a_code():
    assert effective_status(seen(200, "502")) == 502
    assert effective_status(seen(500, "404")) == 500
    assert effective_status(seen(200, "1008")) is None
    assert effective_status(seen(200, "204")) is None
    assert classify(seen(200, "400", message="Token limit reached")) == "invalid_request"
    assert classify(seen(200, "502", message="Provider returned error")) == "server_error"


def test_in_a_stream_the_general_type_is_all_there_is():
    assert classify(seen(200, None, "server_error")) == "server_error"
    assert classify(seen(200, None, "api_error")) == "server_error"
    assert classify(seen(200, None, "overloaded_error")) == "overloaded"
    assert classify(seen(200, "server_error", "nonsense")) == "server_error"
    assert classify(seen(200, None, "something_new")) == "unknown"


@given(st.integers(0, 999), WORDS, WORDS, WORDS, WORDS)
def test_every_error_has_a_class(status, code, type_, message, detail):
    assert classify(seen(status, code, type_, message, detail)) in CLASSES


def test_only_the_beginning_of_a_long_text_is_searched():
    error = seen(400, message="x" * 10_000 + " context length")

    assert len(text_of(error)) < 10_000
    assert class_of_text(text_of(error)) is None
