"""Another target gets a request that it can take, and every change has a name."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.parameter_filter import FILTERS, Asked, filter_parameters

MESSAGES = [{"role": "user", "content": 'say "stop" and "video_url"'}]


def turned(body, kind, model=None, *, dialect="openai.chat", from_kind="openai", from_model="gpt-4.1", **more):
    text = json.dumps({"model": from_model, "messages": MESSAGES} | body).encode()
    asked = Asked(dialect=dialect, kind=kind, model=model, from_kind=from_kind, from_model=from_model, **more)
    return text, filter_parameters(text, asked)


def result(body, kind, model=None, **more):
    """What became of the members of `body`, the changes beside the model, and why it was refused."""
    text, found = turned(body, kind, model, **more)
    after = json.loads(found.body)
    assert after.pop("messages") == json.loads(text)["messages"]
    assert after.pop("model") == (model if model and not found.refused else json.loads(text)["model"])
    return after, [one for one in found.changes if one != "model_replaced"], found.refused


def test_a_call_to_what_the_app_asked_for_is_not_touched():
    body = {"stop": "x", "n": 2}

    for model in (None, "MiniMax-M3"):
        text, found = turned(body, "minimax", model, from_kind="minimax", from_model="MiniMax-M3")
        assert (found.body, found.changes, found.refused) == (text, (), "")


def test_only_the_model_changes_where_the_target_takes_all_else():
    text, found = turned({"temperature": 0.5}, "openrouter", "openai/gpt-4.1")

    assert found.body == text.replace(b'"gpt-4.1"', b'"openai/gpt-4.1"')
    assert found.changes == ("model_replaced",)


def test_a_model_that_the_path_names_stays_out_of_the_body():
    text, found = turned({}, "azure", "prod-4o", model_in_body=False)

    assert (found.body, found.changes) == (text, ())


def test_a_body_that_nobody_can_read_is_for_its_own_target_alone():
    asked = Asked(dialect="openai.chat", kind="minimax", from_kind="openai")

    for text in (b"", b"[]", b'{"model":'):
        found = filter_parameters(text, asked)
        assert (found.body, found.refused) == (text, "unread")


def test_a_body_from_which_nothing_is_wanted_goes_as_it_is_even_if_nobody_can_read_it():
    asked = Asked(dialect="openai.chat", kind="openrouter", from_kind="openai")

    assert filter_parameters(b'{"model":', asked).refused == ""


M3 = {"kind": "minimax", "model": "MiniMax-M3"}
OFF = {"thinking": {"type": "disabled"}}


@pytest.mark.parametrize(
    "name",
    ["stop", "response_format", "seed", "logprobs", "logit_bias", "frequency_penalty", "presence_penalty", "n", "user"],
)
def test_minimax_gets_nothing_that_it_would_ignore(name):
    assert result({name: 7, "temperature": 0.5}, **M3) == (
        {"temperature": 0.5} | OFF,
        [f"dropped:{name}", "added:thinking"],
        "",
    )


def test_minimax_chooses_its_tools_itself():
    for choice in ("required", {"type": "function", "function": {"name": "f"}}):
        after, changes, _ = result({"tool_choice": choice} | OFF, **M3)
        assert (after["tool_choice"], changes) == ("auto", ["approximated:tool_choice"])
    for choice in ("auto", "none", None):
        assert result({"tool_choice": choice} | OFF, **M3)[1] == []


@pytest.mark.parametrize(
    ("body", "from_model", "changes", "thinking"),
    [
        ({}, "gpt-4.1", ["added:thinking"], {"type": "disabled"}),
        ({}, "gpt-5", [], None),
        ({}, "o3-mini", [], None),
        ({"reasoning_effort": "low"}, "gpt-4.1", [], None),
        ({"thinking": {"type": "enabled"}}, "gpt-4.1", ["approximated:thinking"], {"type": "adaptive"}),
        ({"thinking": {"type": "disabled"}}, "gpt-4.1", [], {"type": "disabled"}),
    ],
)
def test_minimax_m3_thinks_only_where_the_apps_own_model_would(body, from_model, changes, thinking):
    after, found, _ = result(body, **M3, from_model=from_model)

    assert (found, after.get("thinking")) == (changes, thinking)


def test_that_minimax_m2_thinks_in_any_case_is_said():
    assert result({}, "minimax", "MiniMax-M2.5")[1] == ["approximated:thinking"]
    assert result(OFF, "minimax", "MiniMax-M2.5")[1] == ["ignored:thinking"]
    assert result({}, "minimax", "MiniMax-M2.5", from_model="gpt-5")[1] == []


FROM_CLAUDE = {"dialect": "anthropic.messages", "from_kind": "anthropic", "from_model": "claude-sonnet-4-5"}
FROM_MINIMAX = {"dialect": "anthropic.messages", "from_kind": "minimax", "from_model": "MiniMax-M3"}


def test_what_minimax_ignores_in_messages_is_named_and_left():
    body = {"top_k": 5, "stop_sequences": ["x"], "temperature": 1}

    assert result(body, **M3, **FROM_CLAUDE) == (body, ["ignored:top_k", "ignored:stop_sequences"], "")
    assert result(body, **M3, **FROM_CLAUDE, strict=True)[2] == "strict:top_k"
    assert result({"stop_sequences": []}, **M3, **FROM_CLAUDE, strict=True)[1:] == ([], "")


@pytest.mark.parametrize("model", ["gpt-5", "gpt-5-mini", "o3", "o4-mini"])
def test_reasoning_models_of_openai_get_their_own_names_and_no_sampling(model):
    body = {"max_tokens": 9, "temperature": 0.2, "top_p": 1, "reasoning_split": True, "service_tier": "standard"}

    assert result(body, "openai", model, from_kind="minimax", from_model="MiniMax-M3") == (
        {"max_completion_tokens": 9, "top_p": 1},
        ["dropped:reasoning_split", "dropped:service_tier", "renamed:max_tokens", "dropped:temperature"],
        "",
    )


def test_a_limit_that_stands_under_both_names_is_sent_under_the_right_one():
    after, changes, _ = result({"max_tokens": 9, "max_completion_tokens": 8}, "openai", "gpt-5")

    assert (after, changes) == ({"max_completion_tokens": 8}, ["renamed:max_tokens"])


@pytest.mark.parametrize("model", ["gpt-5-chat-latest", "gpt-4o", "gpt-4.1-mini", "omni-moderation-latest"])
def test_models_that_do_not_reason_are_told_from_those_that_do(model):
    assert result({"max_tokens": 9, "temperature": 0.2}, "openai", model, from_kind="minimax")[1] == []


def test_other_models_of_openai_keep_their_sampling():
    body = {"max_tokens": 9, "temperature": 0.2, "service_tier": "flex"}

    assert result(body, "openai", "gpt-4o", from_kind="minimax") == (body, [], "")
    assert result({"thinking": {}}, "openai", "gpt-4o", from_kind="minimax") == ({}, ["dropped:thinking"], "")


def test_a_moving_picture_is_not_for_openai_and_a_text_that_speaks_of_one_is():
    video = [{"role": "user", "content": [{"type": "video_url", "video_url": {"url": "x"}}]}]

    assert result({"messages": video}, "openai", "gpt-4o", from_kind="minimax")[2] == "video"
    schema = {"tools": [{"function": {"parameters": {"properties": {"video_url": {"type": "string"}}}}}]}
    assert result(schema, "openai", "gpt-4o", from_kind="minimax")[2] == ""


@pytest.mark.parametrize(
    "model", ["claude-opus-4-7", "claude-opus-4-8-20261001", "claude-sonnet-5", "claude-opus-5-1", "claude-fable-1"]
)
def test_the_newest_claude_gets_no_sampling_and_no_budget_for_thinking(model):
    body = {"temperature": 0.1, "top_p": 1, "top_k": 3, "thinking": {"type": "enabled", "budget_tokens": 5}}
    after, changes, refused = result(body, "anthropic", model, **FROM_MINIMAX)

    assert (after, refused) == ({"thinking": {"type": "adaptive"}}, "")
    assert changes == ["dropped:temperature", "dropped:top_p", "dropped:top_k", "approximated:thinking"]


def test_the_newest_claude_does_not_go_on_with_an_answer_that_the_app_began():
    begun = [*MESSAGES, {"role": "assistant", "content": "{"}]

    assert result({"messages": begun}, "anthropic", "claude-sonnet-5", **FROM_MINIMAX)[2] == "prefill"
    assert result({"messages": begun}, "anthropic", "claude-opus-4-20250514", **FROM_MINIMAX)[2] == ""


def test_claude_4_5_gets_one_kind_of_sampling():
    both = result({"temperature": 0.1, "top_p": 0.2}, "anthropic", "claude-sonnet-4-5", **FROM_MINIMAX)

    assert both == ({"temperature": 0.1}, ["dropped:top_p"], "")
    assert result({"top_p": 0.2}, "anthropic", "claude-sonnet-4-5", **FROM_MINIMAX)[1] == []


def test_thinking_that_another_provider_signed_is_not_sent_to_claude():
    signed = [{"role": "assistant", "content": [{"type": "thinking", "thinking": "x", "signature": "s"}]}]
    found = result({"messages": signed, "max_tokens": 1}, "anthropic", "claude-sonnet-4-5", **FROM_MINIMAX)

    assert found[2] == "foreign_thinking"


def test_gemini_gets_no_field_that_it_does_not_know_and_no_empty_id():
    body = {"logit_bias": {}, "store": True, "metadata": {}, "parallel_tool_calls": True, "stream_options": {}}
    after, changes, _ = result(body, "gemini", "gemini-3-pro")

    assert (after, len(changes)) == ({"stream_options": {}}, 4)
    calls = [{"role": "tool", "tool_call_id": "", "content": "x"}]
    assert result({"messages": calls}, "gemini", "gemini-3-pro")[2] == "empty_tool_id"


@pytest.mark.parametrize(
    ("body", "refused"),
    [
        ({"n": 2}, "strict:n"),
        ({"n": 1, "stop": None, "user": "u", "logprobs": False}, ""),
        ({"seed": 3}, "strict:seed"),
    ],
)
def test_a_strict_target_refuses_what_would_lose_something(body, refused):
    assert result(body, **M3, strict=True)[2] == refused


KINDS = sorted({kind for kinds, _, _, _ in FILTERS for kind in kinds})
NAMES = ["stop", "n", "thinking", "max_tokens", "temperature", "top_p", "messages", "tool_choice", "service_tier", "x"]
VALUES = st.none() | st.integers() | st.text(max_size=4) | st.just([]) | st.just([{"role": "assistant"}]) | st.just({})


@given(
    st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=8),
    st.sampled_from(KINDS),
    st.sampled_from(["openai.chat", "anthropic.messages"]),
    st.sampled_from([None, "gpt-5", "MiniMax-M3", "MiniMax-M2", "claude-opus-5"]),
    st.booleans(),
)
def test_no_request_breaks_it_and_what_it_does_not_name_stays(body, kind, dialect, model, strict):
    text = json.dumps(body, indent=1).encode()
    asked = Asked(dialect=dialect, kind=kind, model=model, from_kind="other", strict=strict)
    found = filter_parameters(text, asked)
    named = {change.partition(":")[2] for change in found.changes} | {"model", "max_completion_tokens"}
    after = json.loads(found.body)

    assert {name: value for name, value in body.items() if name not in named} == {
        name: value for name, value in after.items() if name not in named
    }
    assert (found.body == text) or found.changes
    assert not (found.refused and found.changes)


@given(st.binary(max_size=60))
def test_no_bytes_break_it(text):
    asked = Asked(dialect="openai.chat", kind="minimax", model="MiniMax-M3", from_kind="openai")
    found = filter_parameters(text, asked)

    assert found.refused or json.loads(found.body)
