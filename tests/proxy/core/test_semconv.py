"""One table of OpenTelemetry names, with the convention's version as a switch."""

import pytest

from proxy.core.semconv import CLIENT_SPAN, PROVIDER_NAMES, SERVER_SPAN, client_names


def test_the_default_is_the_last_published_convention():
    names = client_names()

    assert names["operation"] == "gen_ai.operation.name"
    assert names["cache_write_tokens"] == "gen_ai.usage.cache_creation.input_tokens"


def test_the_next_convention_renames_what_it_renamed_and_nothing_else():
    old, new = client_names("1.41"), client_names("genai-dev")

    assert {word for word in old if old[word] != new[word]} == {"cache_write_tokens"}
    assert new["cache_write_tokens"] == "gen_ai.usage.cache_write.input_tokens"


@pytest.mark.parametrize("names", [CLIENT_SPAN, SERVER_SPAN, client_names("genai-dev")])
def test_no_name_is_used_twice_in_a_span(names: dict[str, str]):
    assert len(set(names.values())) == len(names)


def test_a_provider_of_the_convention_has_its_name():
    assert PROVIDER_NAMES["azure"] == "azure.ai.openai"
    assert "minimax" not in PROVIDER_NAMES, "a kind that the convention does not know is its own name"
