import pytest

from proxy.core.errors import ErrorSeen
from proxy.dialects.openai_chat import OPENAI_CHAT
from proxy.dialects.openai_responses import OPENAI_RESPONSES
from proxy.providers.openai import OPENAI


def test_chat_and_responses_are_read_in_their_dialects():
    assert OPENAI.route("POST", "/v1/chat/completions").dialect is OPENAI_CHAT
    assert OPENAI.route("POST", "/v1/responses").dialect is OPENAI_RESPONSES
    assert OPENAI.route("POST", "/v1/responses").operation == "chat"


def test_moderation_is_free_here():
    assert not OPENAI.route("POST", "/v1/moderations").billable


def test_anthropics_paths_are_not_known_here():
    assert OPENAI.route("POST", "/v1/messages").operation == "unknown"


@pytest.mark.parametrize(
    ("status", "code", "type_", "error_class"),
    [
        (401, "invalid_api_key", "invalid_request_error", "auth"),
        (403, "unsupported_country_region_territory", "request_forbidden", "permission"),
        (404, "model_not_found", "invalid_request_error", "model_not_found"),
        (400, "decimal_below_min_value", "invalid_request_error", "invalid_request"),
        (429, "rate_limit_exceeded", "requests", "rate_limit"),
        (429, "insufficient_quota", "insufficient_quota", "quota_exhausted"),
        (503, "slow_down", None, "overloaded"),
    ],
)
def test_errors_are_classed_by_their_code(status, code, type_, error_class):
    assert OPENAI.classify(ErrorSeen(status=status, code=code, type=type_)) == error_class


def test_the_key_is_a_bearer_and_the_request_has_an_id():
    assert OPENAI.credential("/v1/chat/completions", "sk-1") == ("authorization", "Bearer sk-1")
    assert OPENAI.request_id_headers == ("x-request-id",)
    assert OPENAI.base_urls == {"openai": "https://api.openai.com"}


def test_usage_is_asked_for_on_chat_only():
    assert OPENAI.injects_usage("/v1/chat/completions", "")
    assert not OPENAI.injects_usage("/v1/responses", "")
    assert not OPENAI.injects_usage("/v1/completions", "")
    assert not OPENAI.keeps_null_usage
