"""What a body holds is never said to be less than it is."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.inputs import read_inputs

PICTURE = "iVBORw0KGgo" + "A" * 100


def body(*parts, **more):
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": list(parts)}], **more}).encode()


def image(url):
    return {"type": "image_url", "image_url": {"detail": "high", "url": url}}


def test_a_text_is_its_bytes():
    data = body({"type": "text", "text": "hello"})

    assert read_inputs(data, "openai.chat").text_bytes == len(data)
    assert read_inputs(data, "openai.chat").references == ""


@pytest.mark.parametrize("dialect", ["openai.chat", "minimax.native", ""])
def test_a_picture_in_the_body_counts_as_a_picture(dialect):
    data = body(image(f"data:image/png;base64,{PICTURE}"))
    inputs = read_inputs(data, dialect)

    assert inputs.image_bytes == (len(PICTURE),)
    assert inputs.text_bytes == len(data) - len(PICTURE)
    assert inputs.references == ""


def test_a_picture_of_the_messages_dialect_counts_as_a_picture():
    source = {"type": "base64", "media_type": "image/png", "data": PICTURE}

    assert read_inputs(body({"type": "image", "source": source}), "anthropic.messages").image_bytes == (len(PICTURE),)


def test_a_picture_of_gemini_counts_as_a_picture():
    data = json.dumps({"contents": [{"parts": [{"inlineData": {"mimeType": "image/png", "data": PICTURE}}]}]}).encode()

    assert read_inputs(data, "gemini.generate").image_bytes == (len(PICTURE),)


def test_a_picture_inside_a_text_is_text():
    data = body({"type": "text", "text": f'<img src="data:image/png;base64,{PICTURE}">'})

    assert read_inputs(data, "openai.chat").image_bytes == ()
    assert read_inputs(data, "openai.chat").text_bytes == len(data)


@pytest.mark.parametrize(
    ("dialect", "data", "name"),
    [
        ("openai.chat", body(image("https://example.com/a.png")), "url"),
        ("openai.chat", body({"type": "file", "file": {"file_id": "file-1"}}), "file"),
        ("openai.chat", body({"type": "input_audio", "input_audio": {"data": "AAAA"}}), "media"),
        ("openai.responses", body({"type": "input_image", "image_url": "https://example.com/a.png"}), "url"),
        ("openai.responses", body(previous_response_id="resp_1"), "previous_response_id"),
        ("openai.responses", body(conversation="conv_1"), "conversation"),
        ("openai.responses", body(prompt={"id": "pmpt_1"}), "prompt"),
        ("anthropic.messages", body({"type": "image", "source": {"type": "url", "url": "https://e.com"}}), "url"),
        ("anthropic.messages", body({"type": "image", "source": {"type": "file", "file_id": "f"}}), "file"),
        (
            "anthropic.messages",
            body({"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "AAAA"}}),
            "media",
        ),
        ("gemini.generate", b'{"contents":[{"parts":[{"fileData":{"fileUri":"files/1"}}]}]}', "Uri"),
        ("gemini.generate", b'{"cachedContent":"cachedContents/1"}', "cachedContent"),
        ("openai.chat", b'{"messages":[{"content":[{"image\\u005furl":{"url":"https://e.com"}}]}]}', "escaped_names"),
    ],
)
def test_what_the_body_only_points_at_is_named(dialect, data, name):
    assert read_inputs(data, dialect).references == name


@pytest.mark.parametrize(
    ("dialect", "data", "name"),
    [
        ("openai.chat", body(web_search_options={}), "web_search_options"),
        ("openai.responses", body(tools=[{"type": "web_search_preview"}]), "web_search"),
        ("anthropic.messages", body(tools=[{"type": "web_search_20250305", "name": "web_search"}]), "web_search"),
        ("gemini.generate", b'{"tools":[{"googleSearch":{}}]}', "googleSearch"),
        ("openai.chat", body(plugins=[{"id": "web"}]), "plugins"),
    ],
)
def test_a_tool_of_the_provider_is_named(dialect, data, name):
    assert read_inputs(data, dialect).server_tools == name


def test_a_function_of_the_apps_own_is_no_tool_of_the_provider():
    tool = {"type": "function", "function": {"name": "web_search", "parameters": {"properties": {"url": {}}}}}
    inputs = read_inputs(body({"type": "text", "text": "x"}, tools=[tool]), "openai.chat")

    assert (inputs.server_tools, inputs.references) == ("", "")


def test_members_spoken_of_in_a_text_are_not_taken_for_members():
    text = '{"type": "url", "file_id": "x", "previous_response_id": "y", "image_url": "https://e.com", "best_of": 9}'
    inputs = read_inputs(body({"type": "text", "text": text}))

    assert (inputs.references, inputs.server_tools, inputs.best_of) == ("", "", 1)


def test_letters_that_are_no_ascii_may_be_escaped():
    assert read_inputs(body({"type": "text", "text": "für \u4f60"}), "openai.chat").references == ""


def test_answers_that_are_made_and_thrown_away_are_counted():
    assert read_inputs(b'{"prompt":"x","best_of": 5}').best_of == 5


@given(st.binary(max_size=300))
def test_any_bytes_have_an_answer(data):
    assert 0 <= read_inputs(data).text_bytes <= len(data)


@given(st.recursive(st.text(max_size=30), lambda inner: st.lists(inner, max_size=4), max_leaves=20))
def test_a_body_of_texts_is_never_taken_for_less_than_its_bytes(content):
    data = json.dumps({"messages": content}).encode()

    assert read_inputs(data, "openai.chat").text_bytes == len(data)
