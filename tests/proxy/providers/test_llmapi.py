import pytest

from proxy.core.errors import ErrorSeen
from proxy.providers.llmapi import LLMAPI


@pytest.mark.parametrize(
    ("method", "path", "operation", "billable"),
    [
        ("POST", "/v1/chat/completions", "chat", True),
        ("POST", "/v1/responses", "chat", True),
        ("POST", "/v1/messages", "chat", True),
        ("POST", "/v1/embeddings", "embeddings", True),
        ("GET", "/v1/models", "models", False),
        ("GET", "/v1/credits", "plan", False),
    ],
)
def test_every_endpoint_has_its_operation(method, path, operation, billable):
    route = LLMAPI.route(method, path)

    assert (route.operation, route.billable) == (operation, billable)


@pytest.mark.parametrize(
    ("status", "code", "message", "error_class"),
    [
        (402, "402", "Organization has insufficient credits", "billing"),
        (400, None, "Your credit balance is too low", "billing"),
        (401, "401", "Unauthorized", "auth"),
        (403, "403", "Forbidden", "permission"),
        (415, "415", "Unsupported media type", "invalid_request"),
        (429, "429", "Too many requests", "rate_limit"),
        (500, "500", "Internal", "server_error"),
    ],
)
def test_errors_are_classed_by_status_and_empty_accounts_by_text(status, code, message, error_class):
    assert LLMAPI.classify(ErrorSeen(status=status, code=code, message=message)) == error_class
