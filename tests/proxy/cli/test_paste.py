"""What an app's owner pastes is what the official SDK of the provider reads."""

import pytest

from proxy.cli.paste import paste_line
from tests.fakes.settings import provider

URL = "http://127.0.0.1:8484"


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("openai", "export OPENAI_API_KEY=tm-x OPENAI_BASE_URL=http://127.0.0.1:8484/p/v1"),
        ("minimax", "export OPENAI_API_KEY=tm-x OPENAI_BASE_URL=http://127.0.0.1:8484/p/v1"),
        ("openrouter", "export OPENAI_API_KEY=tm-x OPENAI_BASE_URL=http://127.0.0.1:8484/p/api/v1"),
        ("gemini", "export OPENAI_API_KEY=tm-x OPENAI_BASE_URL=http://127.0.0.1:8484/p/v1beta/openai"),
        ("anthropic", "export ANTHROPIC_API_KEY=tm-x ANTHROPIC_BASE_URL=http://127.0.0.1:8484/p"),
        ("azure", "export AZURE_OPENAI_API_KEY=tm-x AZURE_OPENAI_ENDPOINT=http://127.0.0.1:8484/p"),
    ],
)
def test_each_kind_of_provider_has_its_variables(kind, line):
    assert paste_line([provider("p", "http://h", kind, api_key="k")], URL, "tm-x", ()) == line


def test_the_first_provider_that_is_allowed_and_has_a_key_is_meant():
    providers = [
        provider("a", "http://h"),
        provider("b", "http://h", api_key="k"),
        provider("c", "http://h", api_key="k"),
    ]

    assert "/b/v1" in paste_line(providers, URL, "tm-x", ())
    assert "/c/v1" in paste_line(providers, URL, "tm-x", ("c*",))
    assert "/a/v1" in paste_line(providers, URL, "tm-x", ("a",))
    assert paste_line(providers, URL, "tm-x", ("nobody",)) == "export OPENAI_API_KEY=tm-x"
