from hypothesis import given
from hypothesis import strategies as st

from proxy.sandbox.words import MARKER, MEDIA_TOKENS, Draw, count, count_prompt, speak, split

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(st.text())
def test_the_tokens_of_a_text_joined_are_the_text(text):
    assert "".join(split(text)) == text
    assert count(text) == len(split(text))


def test_the_token_rule_is_the_stated_one():
    assert split("[sandbox] A taxi, please.") == ["[sandbox]", " A", " taxi", ",", " please", "."]


@given(st.text(), st.integers(0, 200), st.text(max_size=20))
def test_speech_is_as_long_as_asked_and_says_first_that_it_is_simulated(key, tokens, opening):
    words = speak(Draw(key), tokens, opening)
    assert len(words) == tokens
    assert words[:1] == [MARKER][:tokens]


def test_a_longer_speech_begins_with_the_shorter_one():
    assert speak(Draw("key"), 80, "opening")[:30] == speak(Draw("key"), 30, "opening")


def test_speech_counts_what_it_was_asked_for_when_it_is_counted_as_text():
    assert count("".join(speak(Draw("key"), 57, "simulated answer:"))) == 57


@given(st.text(), st.text())
def test_a_draw_depends_on_its_key_alone(one, other):
    assert Draw(one, 1).hex(40) == Draw(one, 1).hex(40)
    assert (Draw(one).hex(40) == Draw(other).hex(40)) == (one == other)


def test_a_fork_does_not_depend_on_what_was_drawn_before():
    used = Draw("key")
    used.hex(8)
    assert used.fork("id").hex(32) == Draw("key").fork("id").hex(32)


def test_the_parts_of_a_key_are_kept_apart():
    assert Draw("ab", "c").hex(40) != Draw("a", "bc").hex(40)


@given(st.lists(json_values))
def test_any_json_can_be_counted_as_a_prompt(parts):
    assert count_prompt(parts) >= 0


def test_a_prompt_counts_texts_roles_and_media():
    text = {"role": "user", "content": "two words"}
    picture = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:," + "x " * 999}}]}
    assert count_prompt([[text]]) == 4 + count("user") + 2
    assert count_prompt([[picture]]) == 4 + count("user") + MEDIA_TOKENS


def test_a_prompt_nested_beyond_the_recursion_limit_is_counted():
    deep: list = ["word"]
    for _ in range(5_000):
        deep = [deep]
    assert count_prompt([deep]) == 1
