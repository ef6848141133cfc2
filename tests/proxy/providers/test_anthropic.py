import pytest

from proxy.core.errors import ErrorSeen
from proxy.dialects.anthropic_messages import ANTHROPIC_MESSAGES
from proxy.dialects.openai_chat import OPENAI_CHAT
from proxy.providers.anthropic import ANTHROPIC


@pytest.mark.parametrize(
    ("method", "path", "operation", "billable"),
    [
        ("POST", "/v1/messages", "chat", True),
        ("POST", "/v1/messages/count_tokens", "count_tokens", False),
        ("POST", "/v1/messages/batches", "batch", False),
        ("GET", "/v1/messages/batches/b1", "batch", False),
        ("GET", "/v1/messages/batches/b1/results", "batch.results", True),
        ("GET", "/v1/models", "models", False),
        ("GET", "/v1/models/claude", "models", False),
        ("POST", "/v1/files", "files", False),
        ("GET", "/v1/files/f1/content", "files", False),
        ("POST", "/v1/something", "unknown", True),
    ],
)
def test_every_endpoint_has_its_operation_and_our_errors_its_envelope(method, path, operation, billable):
    route = ANTHROPIC.route(method, path)

    assert (route.operation, route.billable) == (operation, billable)
    assert route.error_dialect is ANTHROPIC_MESSAGES


def test_messages_and_counts_are_read():
    assert ANTHROPIC.route("POST", "/v1/messages").dialect is ANTHROPIC_MESSAGES
    assert ANTHROPIC.route("POST", "/v1/messages/count_tokens").dialect is ANTHROPIC_MESSAGES


def test_the_compatible_chat_takes_a_bearer():
    assert ANTHROPIC.route("POST", "/v1/chat/completions").dialect is OPENAI_CHAT
    assert ANTHROPIC.credential("/v1/chat/completions", "sk-ant") == ("authorization", "Bearer sk-ant")
    assert ANTHROPIC.credential("/v1/messages", "sk-ant") == ("x-api-key", "sk-ant")


@pytest.mark.parametrize(
    ("status", "type_", "message", "error_class"),
    [
        (400, "invalid_request_error", "Your credit balance is too low to access the Anthropic API.", "billing"),
        (400, "invalid_request_error", "prompt is too long: 204503 tokens > 200000 maximum", "context_length"),
        (400, "invalid_request_error", "messages: field required", "invalid_request"),
        (401, "authentication_error", "invalid x-api-key", "auth"),
        (402, "billing_error", "", "billing"),
        (403, "permission_error", "", "permission"),
        (404, "not_found_error", "model: claude-9", "model_not_found"),
        (413, "request_too_large", "", "request_too_large"),
        (429, "rate_limit_error", "", "rate_limit"),
        (500, "api_error", "", "server_error"),
        (504, "timeout_error", "", "timeout"),
        (529, "overloaded_error", "Overloaded", "overloaded"),
        (200, "overloaded_error", "Overloaded", "overloaded"),
        (200, "invalid_request_error", "", "invalid_request"),
    ],
)
def test_errors_are_classed_by_type_and_text(status, type_, message, error_class):
    assert ANTHROPIC.classify(ErrorSeen(status=status, type=type_, message=message)) == error_class
