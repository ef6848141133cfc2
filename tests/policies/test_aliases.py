"""An alias stands for one model in the end, or is refused with what is wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.aliases import MAX_CHAIN, AliasError, resolve_aliases, split_model

PROVIDERS = ("minimax", "openrouter", "Azure-EU")


def test_an_alias_of_an_alias_is_what_that_one_stands_for():
    stated = {"fast": "cheap", "Cheap": "minimax/MiniMax-M3", "best": "openai/gpt-5"}

    assert resolve_aliases(stated) == {
        "fast": "minimax/MiniMax-M3",
        "cheap": "minimax/MiniMax-M3",
        "best": "openai/gpt-5",
    }


@pytest.mark.parametrize(
    ("stated", "chain"),
    [
        ({"a": "a"}, ("a", "a")),
        ({"a": "B", "b": "A"}, ("a", "b", "a")),
        ({"x": "a", "a": "b", "b": "c", "c": "a"}, ("x", "a", "b", "c", "a")),
    ],
)
def test_a_loop_is_refused_and_shown(stated, chain):
    with pytest.raises(AliasError, match="loop") as problem:
        resolve_aliases(stated)

    assert problem.value.chain == chain
    assert problem.value.alias == chain[0]


def test_names_that_differ_by_case_alone_are_refused():
    with pytest.raises(AliasError, match="one name"):
        resolve_aliases({"Fast": "minimax/a", "fast": "minimax/b"})


def test_a_chain_that_is_too_long_is_refused():
    fine = {f"a{n}": f"a{n + 1}" for n in range(MAX_CHAIN)}
    assert resolve_aliases(fine)["a0"] == f"a{MAX_CHAIN}"
    with pytest.raises(AliasError, match="more than"):
        resolve_aliases(fine | {f"a{MAX_CHAIN}": "x"})


@given(st.dictionaries(st.sampled_from("abcdefg"), st.sampled_from("abcdefgXYZ"), max_size=7))
def test_what_is_resolved_is_no_alias(stated):
    try:
        resolved = resolve_aliases(stated)
    except AliasError:
        return
    assert not {name.lower() for name in resolved.values()} & set(resolved)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("minimax/MiniMax-M3", ("minimax", "MiniMax-M3")),
        ("MiniMax/m3", ("minimax", "m3")),
        ("azure-eu/prod", ("Azure-EU", "prod")),
        ("openrouter/deepseek/deepseek-chat", ("openrouter", "deepseek/deepseek-chat")),
        ("deepseek/deepseek-chat", None),
        ("gpt-5", None),
        ("minimax/", None),
        ("/x", None),
        ("", None),
    ],
)
def test_a_model_can_name_its_provider(name, found):
    assert split_model(name, PROVIDERS) == found
