import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.output_limit import lower_output_limit


def chat(body, tokens=100, **more):
    return lower_output_limit(body, tokens, **{"dialect": "openai.chat", "kind": "openai", "operation": "chat"} | more)


def test_the_limit_that_is_stated_is_lowered_and_every_other_byte_stays():
    body = b'{ "model" : "m",\n "max_tokens" :  9000 , "messages":[{"content":"\\"max_tokens\\": 9"}] }'
    assert chat(body) == body.replace(b"9000", b"100")


def test_both_names_are_lowered_and_a_lower_one_stays():
    assert chat(b'{"max_tokens":900,"max_completion_tokens":800}') == b'{"max_tokens":100,"max_completion_tokens":100}'
    assert chat(b'{"max_tokens":90,"max_completion_tokens":800}') == b'{"max_tokens":90,"max_completion_tokens":100}'


@pytest.mark.parametrize(
    ("more", "name"),
    [
        ({}, b"max_completion_tokens"),
        ({"kind": "azure"}, b"max_completion_tokens"),
        ({"kind": "openai_compatible"}, b"max_tokens"),
        ({"operation": "completions"}, b"max_tokens"),
        ({"dialect": "minimax.native"}, b"max_completion_tokens"),
        ({"dialect": "openai.responses"}, b"max_output_tokens"),
        ({"dialect": "anthropic.messages"}, b"max_tokens"),
    ],
)
def test_where_none_is_stated_one_is_put_in_front(more, name):
    assert chat(b'{"model":"m"}', **more) == b'{"%b":100,"model":"m"}' % name


def test_null_states_none():
    assert chat(b'{"max_tokens":null}') == b'{"max_tokens":100}'
    assert (
        chat(b'{"max_tokens":null,"max_completion_tokens":200}') == b'{"max_tokens":null,"max_completion_tokens":100}'
    )


@pytest.mark.parametrize(
    ("body", "lowered"),
    [
        (b'{"contents":[]}', b'{"generationConfig":{"maxOutputTokens":100},"contents":[]}'),
        (b'{"generationConfig":{}}', b'{"generationConfig":{"maxOutputTokens":100}}'),
        (
            b'{"generationConfig":{"topK":1,"maxOutputTokens":900}}',
            b'{"generationConfig":{"topK":1,"maxOutputTokens":100}}',
        ),
        (b'{"generation_config":{"max_output_tokens":900}}', b'{"generation_config":{"max_output_tokens":100}}'),
        (b'{"generationConfig":{},"generation_config":{}}', None),
    ],
)
def test_gemini_has_it_one_level_below(body, lowered):
    assert chat(body, dialect="gemini.generate") == lowered


@pytest.mark.parametrize(
    "body",
    [
        b'{"max_tokens":9,"max_tokens":900}',
        b'{"max\\u005ftokens":900}',
        b'{"max_tokens":"900"}',
        b'{"max_tokens":9e2}',
        b'{"max_tokens":900,"thinking":{"type":"enabled","budget_tokens":100}}',
        b"[]",
        b"",
        b'{"max_tokens":900',
    ],
)
def test_what_is_not_certain_is_left_alone(body):
    assert chat(body, dialect="anthropic.messages") is None


def test_a_thinking_budget_below_the_limit_is_no_obstacle():
    body = b'{"max_tokens":900,"thinking":{"budget_tokens":99}}'
    assert chat(body, dialect="anthropic.messages") == body.replace(b"900", b"100")


def test_a_dialect_without_a_limit_and_a_limit_of_nothing_are_none():
    assert chat(b"{}", dialect="unknown") is None
    assert chat(b"{}", 0) is None


VALUES = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), st.lists, max_leaves=5)
BODIES = st.dictionaries(st.text(max_size=6) | st.sampled_from(["max_tokens", "model"]), VALUES, max_size=5)


@given(BODIES, st.integers(1, 10**6), st.sampled_from([None, 0, 1]))
def test_all_else_reads_as_before(body, tokens, indent):
    text = json.dumps(body, indent=indent).encode()
    lowered = chat(text, tokens)
    if lowered is not None:
        read = json.loads(lowered)
        names = {"max_tokens", "max_completion_tokens"}
        assert {k: v for k, v in read.items() if k not in names} == {k: v for k, v in body.items() if k not in names}
        assert min(read[name] for name in names & set(read) if read[name] is not None) <= tokens


@given(st.binary(max_size=60), st.sampled_from(["openai.chat", "gemini.generate", "anthropic.messages"]))
def test_no_bytes_are_an_error(body, dialect):
    chat(body, dialect=dialect)
