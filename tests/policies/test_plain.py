"""A body is plain only when everything in it is known to be text."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.inputs import read_inputs, search
from policies.plain import is_plain

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
MESSAGES = {"model": "m", "max_tokens": 5, "system": "s", "messages": [{"role": "user", "content": "hi"}]}
SCHEMA = {"type": "object", "properties": {"file_id": {"type": "string", "default": "image_url"}}}


def plain(body, dialect="openai.chat"):
    return is_plain(body if isinstance(body, bytes) else json.dumps(body).encode(), dialect)


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"temperature": 0.2, "stream": True, "stream_options": {"include_usage": True}, "n": 2, "max_tokens": 7},
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": SCHEMA}}], "tool_choice": "auto"},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]},
        {
            "messages": [
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
                },
                {"role": "tool", "tool_call_id": "1", "content": "42"},
            ]
        },
    ],
)
def test_what_most_chats_are_made_of_is_plain(more):
    assert plain(CHAT | more)


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"tools": [{"name": "f", "input_schema": SCHEMA}], "thinking": {"type": "enabled", "budget_tokens": 5}},
        {
            "messages": [
                {"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "f", "input": {"url": "x"}}]},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": "42"}]},
                {"role": "user", "content": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}]},
            ]
        },
    ],
)
def test_what_most_messages_are_made_of_is_plain(more):
    assert plain(MESSAGES | more, "anthropic.messages")


def part(**fields):
    return {"messages": [{"role": "user", "content": [fields]}]}


@pytest.mark.parametrize(
    "more",
    [
        {"web_search_options": {}},
        {"plugins": [{"id": "web"}]},
        {"best_of": 3},
        {"a_member_of_next_year": {}},
        {"tools": [{"type": "web_search"}]},
        {"tools": [{"type": "function", "function": {}, "server_url": "https://e.com"}]},
        part(type="image_url", image_url={"url": "https://e.com"}),
        part(type="text", text="x", image_url={"url": "https://e.com"}),
        part(type="file", file={"file_id": "f"}),
        part(type="input_audio", input_audio={"data": "AAAA"}),
        {"messages": [{"role": "user", "content": "x", "audio": {"id": "a"}}]},
        {"messages": "hi"},
        {"messages": [{"role": "user", "content": {"type": "text", "text": "x"}}]},
    ],
)
def test_a_chat_with_anything_else_in_it_is_not(more):
    assert not plain(CHAT | more)


@pytest.mark.parametrize(
    "more",
    [
        {"mcp_servers": [{"url": "https://e.com"}]},
        {"container": "c"},
        {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
        part(type="image", source={"type": "url", "url": "https://e.com"}),
        part(type="document", source={"type": "base64", "data": "AAAA"}),
        part(type="tool_result", tool_use_id="1", content=[{"type": "image", "source": {"type": "url", "url": "x"}}]),
    ],
)
def test_messages_with_anything_else_in_them_are_not(more):
    assert not plain(MESSAGES | more, "anthropic.messages")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'"x"',
        b'{"model":"m","messages":[',
        b'\xef\xbb\xbf{"model":"m","messages":[]}',
        b'{"model":"m","messages":[{"role":"user","content":"\xff"}]}',
        b"[" * 100_000,
        b'{"model":"m","messages":[],"stop":' + b"[" * 100_000,
    ],
)
def test_what_is_no_such_request_is_not_plain(body):
    assert not plain(body)


def test_the_second_of_two_members_of_one_name_is_looked_at_too():
    image = json.dumps(part(type="image_url", image_url={"url": "https://e.com"}))[1:-1].encode()

    assert not plain(b'{"model":"m","messages":[],%b}' % image)
    assert not plain(b'{"model":"m",%b,"messages":[]}' % image)
    assert not plain(b'{"model":"m","messages":[],%b}' % image.replace(b'"messages"', b'"mess\\u0061ges"'))


def test_nothing_is_known_of_other_dialects():
    assert not plain(CHAT, "openai.responses")
    assert not plain(CHAT, "")


def test_texts_of_plain_bodies_may_be_escaped_in_any_way():
    body = json.dumps(CHAT | {"user": "x"}).encode().replace(b'"hi"', b'"\\u003chi\\u003e"')

    assert read_inputs(body, "openai.chat").references == ""


TEXTS = st.text(st.characters(min_codepoint=0x7F, blacklist_categories=["Cs"]) | st.sampled_from('"\\_ulrfie:{}data'))


@given(st.lists(TEXTS, max_size=5), TEXTS)
def test_where_a_body_is_plain_a_search_finds_nothing(texts, system):
    messages = [{"role": "system", "content": system}, *({"role": "user", "content": text} for text in texts)]
    body = json.dumps(CHAT | {"messages": messages}, ensure_ascii=False).encode()

    assert plain(body)
    assert search(body, "openai.chat") == read_inputs(body, "openai.chat")
