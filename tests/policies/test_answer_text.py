"""The text of an answer is what the app would read as its answer."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.answer_text import answer_text, asks_for_json
from proxy.dialects import DIALECTS
from tests.fakes import wire

NAMES = [dialect.name for dialect in DIALECTS]
CASES = [case for name in NAMES for case in wire.cases(name) if case.status == 200 and not case.expected.get("error")]
needs_corpus = pytest.mark.skipif(
    not CASES, reason="the corpus of recorded traffic is not on this machine; set TAXIMETER_WIRE"
)


def events(*values):
    return b"".join(b"data: %b\n\n" % json.dumps(one).encode() for one in values)


@needs_corpus
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_recorded_answers_have_their_text(case):
    wanted = [case.expected.get("text"), *case.expected.get("accept", {}).get("text", [])]
    found = answer_text(case.body, case.meta["protocol"])

    assert (found or None) in [one or None for one in wanted]


CHAT = {"choices": [{"index": 0, "message": {"content": "hi"}}, {"index": 1, "message": {"content": "no"}}]}


@pytest.mark.parametrize(
    ("dialect", "body", "text"),
    [
        ("openai.chat", json.dumps(CHAT).encode(), "hi"),
        ("minimax.native", json.dumps(CHAT).encode(), "hi"),
        (
            "openai.chat",
            events({"choices": [{"delta": {"content": "h"}}]}, {"choices": [{"delta": {"content": "i"}}]}),
            "hi",
        ),
        ("openai.chat", events({"choices": []}) + b"data: [DONE]\n\n", None),
        ("openai.chat", b'{"choices":[{"message":{"content":"<think>\\nx {\\n</think>\\n\\n{}"}}]}', "{}"),
        ("anthropic.messages", b'{"content":[{"type":"thinking","thinking":"x"},{"type":"text","text":"hi"}]}', "hi"),
        (
            "anthropic.messages",
            events(
                {"type": "content_block_delta", "delta": {"type": "thinking_delta", "thinking": "x"}},
                {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "hi"}},
            ),
            "hi",
        ),
        ("openai.responses", events({"type": "response.output_text.delta", "delta": "hi"}), "hi"),
        (
            "openai.responses",
            b'{"output":[{"type":"reasoning","content":"x"},{"type":"message","content":[{"type":"output_text","text":"hi"}]}]}',
            "hi",
        ),
        (
            "gemini.generate",
            b'{"candidates":[{"content":{"parts":[{"text":"x","thought":true},{"text":"hi"}]}}]}',
            "hi",
        ),
        (
            "gemini.generate",
            b'[{"candidates":[{"content":{"parts":[{"text":"h"}]}}]},{"candidates":[{"content":{"parts":[{"text":"i"}]}}]}]',
            "hi",
        ),
        ("unknown", b"{}", None),
        ("openai.chat", b"<html>", None),
        ("openai.chat", b"", None),
    ],
)
def test_each_dialect_has_its_text_in_its_place(dialect, body, text):
    assert answer_text(body, dialect) == text


@pytest.mark.parametrize(
    "request_body",
    [
        {"response_format": {"type": "json_schema", "json_schema": {}}},
        {"response_format": {"type": "json_object"}},
        {"text": {"format": {"type": "json_schema"}}},
        {"output_config": {"format": {"type": "json_schema"}}},
        {"generationConfig": {"responseMimeType": "application/json"}},
        {"generationConfig": {"responseSchema": {}}},
    ],
)
def test_an_app_can_ask_for_json_in_any_dialect(request_body):
    assert asks_for_json(json.dumps(request_body).encode())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"json",
        b'{"messages":[{"content":"json_schema"}]}',
        b'{"response_format":{"type":"text"},"x":"json"}',
    ],
)
def test_speaking_of_json_is_not_asking_for_it(body):
    assert not asks_for_json(body)


@given(st.binary(max_size=80), st.sampled_from([*NAMES, "other"]))
def test_no_bytes_break_the_reading(body, dialect):
    assert answer_text(body, dialect) is None or dialect in NAMES
    assert asks_for_json(body + b"json") in {True, False}


VALUES = st.recursive(
    st.none() | st.booleans() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["choices", "message", "delta", "content", "text", "type", "index", "output", "candidates", "parts"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(VALUES, st.sampled_from(NAMES))
def test_no_shape_breaks_the_reading(value, dialect):
    for body in (json.dumps(value).encode(), events(value)):
        assert isinstance(answer_text(body, dialect), str | None)
