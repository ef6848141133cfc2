import pytest

from proxy.core.errors import ErrorSeen
from proxy.dialects.anthropic_messages import ANTHROPIC_MESSAGES
from proxy.dialects.openai_chat import OPENAI_CHAT
from proxy.providers.deepseek import DEEPSEEK


@pytest.mark.parametrize("path", ["/chat/completions", "/v1/chat/completions", "/beta/chat/completions"])
def test_chat_is_read_with_and_without_a_version(path):
    assert DEEPSEEK.route("POST", path).dialect is OPENAI_CHAT
    assert DEEPSEEK.injects_usage(path, "")


def test_the_other_surfaces_are_known():
    assert DEEPSEEK.route("POST", "/anthropic/v1/messages").dialect is ANTHROPIC_MESSAGES
    assert DEEPSEEK.route("POST", "/beta/completions").operation == "completion"
    assert DEEPSEEK.route("POST", "/responses").operation == "chat"
    assert not DEEPSEEK.route("GET", "/user/balance").billable


@pytest.mark.parametrize(
    ("status", "message", "error_class"),
    [
        (402, "Insufficient Balance", "billing"),
        (422, "Invalid parameters", "invalid_request"),
        (429, "Too many requests", "rate_limit"),
        (500, "Server error", "server_error"),
        (503, "Busy", "overloaded"),
        (400, "Content Exists Risk", "content_filter"),
    ],
)
def test_the_status_counts_more_than_its_nonsense_types(status, message, error_class):
    error = ErrorSeen(status=status, code="invalid_request_error", type="unknown_error", message=message)

    assert DEEPSEEK.classify(error) == error_class


def test_its_price_list_is_in_yuan():
    assert DEEPSEEK.currencies == {"api.deepseek.com": "CNY"}
    assert DEEPSEEK.base_urls == {"deepseek": "https://api.deepseek.com"}
