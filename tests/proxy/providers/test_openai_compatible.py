import pytest

from proxy.dialects.anthropic_messages import ANTHROPIC_MESSAGES
from proxy.dialects.openai_chat import OPENAI_CHAT
from proxy.providers.openai_compatible import OPENAI_COMPATIBLE


@pytest.mark.parametrize("path", ["/chat/completions", "/v1/chat/completions", "/openai/v1/chat/completions/"])
def test_chat_is_known_under_any_prefix_and_asked_for_usage(path):
    assert OPENAI_COMPATIBLE.route("POST", path).dialect is OPENAI_CHAT
    assert OPENAI_COMPATIBLE.injects_usage(path, "")


def test_anthropics_messages_are_read_where_a_gateway_offers_them():
    assert OPENAI_COMPATIBLE.route("POST", "/v1/messages").dialect is ANTHROPIC_MESSAGES


def test_the_operator_says_where_it_is():
    assert OPENAI_COMPATIBLE.base_urls == {}
    assert OPENAI_COMPATIBLE.credential("/v1/messages", "k") == ("authorization", "Bearer k")
