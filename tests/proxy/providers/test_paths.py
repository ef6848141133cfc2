"""Where another kind of provider has the same operation in the same dialect."""

import pytest

from proxy.providers import PROVIDERS
from proxy.providers.paths import _PREFIXES, path_at

KINDS = {provider.kind: provider for provider in PROVIDERS}


@pytest.mark.parametrize(
    ("kind", "dialect", "path", "there"),
    [
        ("minimax", "anthropic.messages", "/v1/messages", "/anthropic/v1/messages"),
        ("anthropic", "anthropic.messages", "/anthropic/v1/messages", "/v1/messages"),
        ("openrouter", "openai.chat", "/v1/chat/completions", "/api/v1/chat/completions"),
        ("azure", "openai.chat", "/chat/completions/", "/openai/v1/chat/completions"),
        ("gemini", "openai.chat", "/v1/chat/completions", "/v1beta/openai/chat/completions"),
    ],
)
def test_each_kind_has_its_own_path(kind, dialect, path, there):
    assert path_at(kind, dialect, path) == there


@pytest.mark.parametrize(
    ("kind", "dialect", "path"),
    [
        ("anthropic", "openai.chat", "/v1/chat/completions"),
        ("openai", "openai.chat", "/v1/completions"),
        ("anthropic", "anthropic.messages", "/v1/messages/count_tokens"),
        ("nobody", "openai.chat", "/v1/chat/completions"),
    ],
)
def test_what_a_provider_does_not_have_has_no_path(kind, dialect, path):
    assert path_at(kind, dialect, path) is None


def test_what_the_base_url_holds_already_is_not_said_twice():
    assert path_at("openai_compatible", "openai.chat", "/v1/chat/completions", "/gateway/v1") == "/chat/completions"


@pytest.mark.parametrize(("kind", "dialect"), sorted(_PREFIXES))
def test_every_path_is_known_to_its_own_provider_as_a_call_of_that_dialect(kind, dialect):
    ending = {
        "openai.chat": "/chat/completions",
        "openai.responses": "/responses",
        "anthropic.messages": "/v1/messages",
        "minimax.native": "/text/chatcompletion_v2",
    }[dialect]
    route = KINDS[kind].route("POST", path_at(kind, dialect, ending))

    assert (route.operation, route.dialect.name) == ("chat", dialect)
