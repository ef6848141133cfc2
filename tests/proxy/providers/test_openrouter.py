import pytest

from proxy.core.errors import ErrorSeen
from proxy.dialects.anthropic_messages import ANTHROPIC_MESSAGES
from proxy.dialects.openai_chat import OPENAI_CHAT
from proxy.dialects.openai_responses import OPENAI_RESPONSES
from proxy.providers.openrouter import OPENROUTER


@pytest.mark.parametrize(
    ("method", "path", "operation", "billable", "dialect"),
    [
        ("POST", "/api/v1/chat/completions", "chat", True, OPENAI_CHAT),
        ("POST", "/api/v1/responses", "chat", True, OPENAI_RESPONSES),
        ("POST", "/api/v1/messages", "chat", True, ANTHROPIC_MESSAGES),
        ("POST", "/api/v1/embeddings", "embeddings", True, None),
        ("GET", "/api/v1/models", "models", False, None),
        ("GET", "/api/v1/models/minimax/minimax-m3/endpoints", "models", False, None),
        ("GET", "/api/v1/providers", "models", False, None),
        ("GET", "/api/v1/generation", "generation", False, None),
        ("GET", "/api/v1/credits", "plan", False, None),
        ("GET", "/api/v1/auth/key", "plan", False, None),
    ],
)
def test_every_endpoint_has_its_operation(method, path, operation, billable, dialect):
    route = OPENROUTER.route(method, path)

    assert (route.operation, route.billable, route.dialect) == (operation, billable, dialect)


@pytest.mark.parametrize(
    ("status", "code", "message", "detail", "error_class"),
    [
        (401, "401", "No auth credentials found", None, "auth"),
        (402, "402", "Insufficient credits", None, "billing"),
        (403, "403", "Your input was flagged", None, "content_filter"),
        (403, "403", "Blocked by a guardrail", None, "content_filter"),
        (403, "403", "Key is not allowed", None, "permission"),
        (200, "403", "This model requires moderation", None, "content_filter"),
        (408, "408", "", None, "timeout"),
        (429, "429", "Provider returned error", "temporarily rate-limited upstream", "rate_limit"),
        (200, "502", "Provider returned error", "upstream connect error", "server_error"),
        (503, "503", "No provider available", None, "overloaded"),
        (400, "400", "Provider returned error", "This model's maximum context length is 8192", "context_length"),
        (200, "400", "Token limit reached", None, "invalid_request"),
        (404, "404", "No endpoints found for acme/x.", None, "model_not_found"),
        (400, "400", "acme/x is not a valid model ID", None, "model_not_found"),
    ],
)
def test_the_code_is_a_status_and_the_raw_text_the_reason(status, code, message, detail, error_class):
    assert OPENROUTER.classify(ErrorSeen(status=status, code=code, message=message, detail=detail)) == error_class


def test_usage_is_never_asked_for_because_it_is_always_there():
    assert OPENROUTER.injects_usage is None
