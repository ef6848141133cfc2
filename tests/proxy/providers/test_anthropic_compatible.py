from proxy.dialects.anthropic_messages import ANTHROPIC_MESSAGES
from proxy.dialects.openai_chat import OPENAI_CHAT
from proxy.providers.anthropic_compatible import ANTHROPIC_COMPATIBLE


def test_both_surfaces_are_read_and_our_errors_are_anthropics():
    assert ANTHROPIC_COMPATIBLE.route("POST", "/any/v1/messages").dialect is ANTHROPIC_MESSAGES
    assert ANTHROPIC_COMPATIBLE.route("POST", "/v1/chat/completions").dialect is OPENAI_CHAT
    assert ANTHROPIC_COMPATIBLE.route("GET", "/v1/models").error_dialect is ANTHROPIC_MESSAGES


def test_the_operator_says_where_it_is():
    assert ANTHROPIC_COMPATIBLE.base_urls == {}
    assert ANTHROPIC_COMPATIBLE.credential("/v1/messages", "k") == ("x-api-key", "k")
    assert ANTHROPIC_COMPATIBLE.credential("/v1/chat/completions", "k") == ("authorization", "Bearer k")
