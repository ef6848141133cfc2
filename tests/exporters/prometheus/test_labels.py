import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters.prometheus.labels import NONE, OTHER, Names, is_plain, looks_secret, plain


@pytest.mark.parametrize(
    "name",
    [
        "gpt-4.1-mini-2025-04-14",
        "MiniMax-M2.5",
        "anthropic.claude-3-5-sonnet-20240620-v1:0",
        "accounts/fireworks/models/llama-v3p1-405b-instruct",
        "ft:gpt-4o-mini-2024-07-18:my-org::abc123",
        "@cf/meta/llama-3"[1:],
        "a" * 100,
    ],
)
def test_what_models_are_called_stays_as_it_is(name):
    assert plain(name) == name
    assert not looks_secret(name)


@pytest.mark.parametrize("text", ["a" * 101, "two words", "a\nb", 'a"b', "-a", "ä", "\x00", "a{b}", "\ud800"])
def test_what_is_no_plain_word_is_other(text):
    assert plain(text) == OTHER


@pytest.mark.parametrize(("text", "plainly"), [("0af7651916cd43dd", True), ("", False), ("two words", False)])
def test_a_word_is_plain_or_it_is_not(text, plainly):
    assert is_plain(text) is plainly


def test_nothing_is_none():
    assert plain("") == NONE


@pytest.mark.parametrize("key", ["sk-proj-abc", "sk-ant-api03-x", "AIzaSyB", "eyJhbGciOi", "sk_live_1", "ghp_x"])
def test_a_key_in_the_place_of_a_name_is_other(key):
    assert Names(5).label("openai", key, may_claim=True) == OTHER


def test_there_are_no_more_names_than_asked_for_and_the_rest_is_counted():
    names = Names(2)
    said = [names.label("p", name, may_claim=True) for name in ("a", "b", "c", "a", "d")]
    assert said == ["a", "b", OTHER, "a", OTHER]
    assert names.overflows == 2


def test_a_name_counts_once_in_each_scope():
    names = Names(2)
    assert names.label("p", "a", may_claim=True) == "a"
    assert names.label("q", "a", may_claim=True) == "a"
    assert names.label("q", "b", may_claim=True) == OTHER


def test_a_name_that_may_not_claim_a_place_has_one_only_if_it_had_one_before():
    names = Names(2)
    assert names.label("p", "a", may_claim=False) == OTHER
    assert names.overflows == 0
    names.label("p", "a", may_claim=True)
    assert names.label("p", "a", may_claim=False) == "a"


@given(st.lists(st.tuples(st.sampled_from(["p", "q"]), st.text(max_size=8), st.booleans()), max_size=60))
def test_whatever_comes_the_values_are_few_and_plain(asked):
    names = Names(3)
    values = {names.label(scope, name, may_claim=claim) for scope, name, claim in asked}
    assert len(values - {OTHER, NONE}) <= 3
    assert all(plain(value) == value for value in values)
