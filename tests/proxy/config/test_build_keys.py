"""Several keys of the operator's at a provider, and none for those who call no provider."""

import pytest

from proxy.config.problems import ConfigError
from proxy.settings import ProviderKey
from tests.fakes.config_files import load


def keys(tmp_path, text, env=None, **more):
    settings = load(tmp_path, f"providers: {{openai: {{{text}}}}}\n", env or {}, **more)
    return next(one for one in settings.providers if one.name == "openai")


def test_keys_are_named_like_their_variable_or_file_or_as_they_are_told(tmp_path):
    (tmp_path / "third").write_text("k3")
    found = keys(
        tmp_path,
        "api_keys: [{key: env:A, weight: 3}, {key: env:B, name: spare}, {key: file:third}]",
        {"A": "k1", "B": "k2"},
    )

    assert found.api_keys == (
        ProviderKey(name="A", key="k1", weight=3),
        ProviderKey(name="spare", key="k2"),
        ProviderKey(name="third", key="k3"),
    )
    assert found.has_key
    assert "k1" not in repr(found.api_keys)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("api_key: env:A, api_keys: [{key: env:B}]", "takes the place of api_key"),
        ("api_keys: [{key: env:A}, {key: env:A}]", "stands twice"),
        ("api_keys: [{weight: 2}]", "needs a key"),
        ("api_keys: [{key: env:A, weight: 0}]", "weight"),
        ("api_keys: [{key: env:A, name: a b}]", "must be a name"),
        ("api_keys: [{key: env:C}]", "the environment variable C is not set"),
    ],
)
def test_a_mistake_has_its_place(tmp_path, text, said):
    with pytest.raises(ConfigError, match=said):
        keys(tmp_path, text, {"A": "k1", "B": "k2"})


def test_who_calls_no_provider_needs_no_key_and_gets_none(tmp_path):
    found = keys(tmp_path, "api_key: env:A", {"A": "k1"}, provider_keys=False)
    several = keys(tmp_path, "api_keys: [{key: env:A}]", provider_keys=False)

    assert (found.api_key, found.has_key) == ("", True)
    assert [(key.name, key.key) for key in several.api_keys] == [("A", "")]
