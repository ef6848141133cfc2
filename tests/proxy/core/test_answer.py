import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.facts import AnswerHead, ResponseFacts
from proxy.dialects import DIALECTS
from proxy.dialects.openai_chat import OPENAI_CHAT
from tests.fakes.dialect_reading import facts_of, read, sse

CHUNK = b'{"id":"c1","model":"m","choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}'
LAST = b'{"id":"c1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":2}}'
BODY = b'{"id":"c1","choices":[{"message":{"content":"a"},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":2}}'
STREAM = sse(CHUNK, LAST, b"[DONE]")
JSON = "application/json"
EVENTS = "text/event-stream"
ALL = pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)


@pytest.mark.parametrize("content_type", [JSON, EVENTS, "", "text/plain", "text/html"])
@pytest.mark.parametrize(
    "front", [b"", b"\n\n", b"\xef\xbb\xbf", b" \r\n\t", b": keep-alive\n\n", b":\r: x\r\r\n", b"\xef\xbb\xbf: a\n"]
)
def test_the_first_bytes_tell_a_stream_from_a_body_whatever_the_type_says(content_type, front):
    for whole, stream_end in ((BODY, None), (STREAM, "done_marker")):
        facts = facts_of(OPENAI_CHAT, front + whole, content_type=content_type)
        assert facts.usage.input_tokens == 5
        assert facts.stream_end == stream_end
        assert facts.unread is None
        assert facts == facts_of(OPENAI_CHAT, front + whole, content_type=content_type, sizes=[1] * len(whole))


@pytest.mark.parametrize("sizes", [[], [1, 1, 1, 1]])
def test_a_byte_order_mark_counts_at_the_very_front_only(sizes):
    facts = facts_of(OPENAI_CHAT, b"\n\xef\xbb\xbf" + BODY, content_type=JSON, sizes=sizes)
    assert facts.unread == "not_json"


@pytest.mark.parametrize("first", [b"event: x\n", b"id: 1\n", b"retry: 5\n", b"data:\n"])
def test_every_field_of_an_event_tells_a_stream(first):
    assert facts_of(OPENAI_CHAT, first + STREAM, content_type=JSON).stream_end == "done_marker"


@pytest.mark.parametrize("content_type", ["text/html", JSON, EVENTS])
def test_a_page_under_a_good_status_is_unread_and_no_error(content_type):
    facts = facts_of(OPENAI_CHAT, b"<html>gateway</html>", content_type=content_type)
    assert facts == ResponseFacts(unread="not_json")


def test_a_page_under_a_bad_status_is_an_error_without_a_message():
    facts = facts_of(OPENAI_CHAT, b"<html>gateway</html>", content_type="text/html", status=502)
    assert (facts.error.status, facts.error.message) == (502, None)


def test_a_bad_status_in_plain_words_has_them_as_its_message():
    facts = facts_of(OPENAI_CHAT, b"default backend is down\n", content_type="text/plain", status=503)
    assert facts.error.message == "default backend is down"
    long = facts_of(OPENAI_CHAT, b"x" * 5000, content_type="text/plain", status=503)
    assert len(long.error.message) == 500


@pytest.mark.parametrize(("status", "unread"), [(200, "empty"), (204, None), (304, None), (500, None)])
def test_an_empty_body_is_unread_only_where_there_should_be_one(status, unread):
    facts = facts_of(OPENAI_CHAT, b"", content_type=JSON, status=status)
    assert facts.unread == unread
    assert (facts.error is not None) == (status == 500)


@pytest.mark.parametrize(
    ("stream", "clean", "end"),
    [
        (STREAM, True, "done_marker"),
        (STREAM, False, "done_marker"),
        (sse(CHUNK, LAST) + b"data: [DONE]", True, "done_marker"),
        (sse(CHUNK, LAST) + b"data:  [DONE] \r\n", True, "done_marker"),
        (sse(CHUNK, LAST), True, "eof"),
        (sse(CHUNK) + b"data: " + LAST, True, "eof"),
        (sse(CHUNK, LAST), False, "truncated"),
        (sse(CHUNK), True, "truncated"),
        (sse(CHUNK) + b"data: " + LAST[:40], True, "truncated"),
        (b"", True, "truncated"),
        (b": keep-alive\n\n", True, "truncated"),
        (sse(CHUNK, b'{"error":{"message":"m"}}'), True, "error"),
        (sse(CHUNK, b'{"error":{"message":"m"}}', b"[DONE]"), True, "done_marker"),
    ],
)
def test_a_stream_says_how_it_ended(stream, clean, end):
    facts = facts_of(OPENAI_CHAT, stream, clean=clean)
    assert facts.stream_end == end
    assert facts.unread is None


def test_a_whole_body_that_is_cut_off_says_so():
    assert facts_of(OPENAI_CHAT, BODY[:-9], content_type=JSON, clean=False).unread == "truncated"
    assert facts_of(OPENAI_CHAT, BODY[:-9], content_type=JSON).unread == "not_json"
    assert facts_of(OPENAI_CHAT, BODY, content_type=JSON, clean=False).unread is None


def test_an_event_that_is_no_json_loses_nothing_but_itself():
    facts = facts_of(OPENAI_CHAT, sse(CHUNK, b"{oops", b"7", LAST, b"[DONE]"))
    assert facts.unread == "bad_event"
    assert facts.usage.input_tokens == 5


def test_an_error_status_in_event_form_came_before_any_stream():
    facts = facts_of(OPENAI_CHAT, sse(b'{"error":{"message":"m","code":"c"}}'), status=429)
    assert (facts.error.code, facts.error.in_stream, facts.stream_end) == ("c", False, None)


def test_an_error_in_a_good_stream_came_after_its_head():
    assert facts_of(OPENAI_CHAT, sse(b'{"error":{"message":"m"}}')).error.in_stream
    assert not facts_of(OPENAI_CHAT, b'{"error":{"message":"m"}}').error.in_stream


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"error":{"message":"m"}}', "m"),
        (b'{"message":"m"}', "m"),
        (b'"m"', "m"),
        (b"overloaded, come back later", "overloaded, come back later"),
        (b"{}", "{}"),
    ],
)
def test_an_event_that_is_named_an_error_is_one_whatever_its_data(data, message):
    facts = facts_of(OPENAI_CHAT, sse(CHUNK) + b"event: error\ndata: " + data + b"\n\n")
    assert (facts.error.message, facts.error.in_stream, facts.stream_end) == (message, True, "error")
    assert facts.unread is None


def test_of_several_errors_the_first_is_kept():
    assert (
        facts_of(OPENAI_CHAT, sse(b'{"error":{"message":"first"}}', b'{"error":{"message":"second"}}')).error.message
        == "first"
    )


def test_an_array_of_answers_is_a_stream_that_ends_with_its_bracket():
    array = b"[" + CHUNK + b"\n,\r\n" + LAST + b"]"
    assert facts_of(OPENAI_CHAT, array, content_type=JSON).stream_end == "eof"
    assert facts_of(OPENAI_CHAT, array[:-1], content_type=JSON).stream_end == "truncated"


@pytest.mark.parametrize("sizes", [[], [7] * 300])
def test_a_body_beyond_the_limit_is_given_up(sizes):
    long = BODY + b" " * 500
    facts = facts_of(OPENAI_CHAT, long, content_type=JSON, sizes=sizes, max_bytes=len(long) - 1)
    assert facts == ResponseFacts(unread="body_too_large")
    assert facts_of(OPENAI_CHAT, long, content_type=JSON, sizes=sizes, max_bytes=len(long)).unread is None


@pytest.mark.parametrize("wrapping", [(b"data: ", b"\n\n"), (b"[", b",")])
def test_an_event_beyond_the_limit_ends_the_reading_but_keeps_what_was_read(wrapping):
    before, after = wrapping
    stream = before + CHUNK + after + (before if before == b"data: " else b"") + b'{"x":"' + b"x" * 300
    facts = facts_of(OPENAI_CHAT, stream, max_bytes=200)
    assert (facts.unread, facts.stream_end, facts.model) == ("event_too_long", None, "m")
    assert facts_of(OPENAI_CHAT, stream, max_bytes=200, clean=False).stream_end == "truncated"


@ALL
@given(
    data=st.binary(max_size=120) | st.text(alphabet='{}[]":,\n\r dataevent01', max_size=120).map(str.encode),
    sizes=st.lists(st.integers(0, 9), max_size=30),
    status=st.sampled_from([200, 500]),
    content_type=st.sampled_from([JSON, EVENTS]),
    clean=st.booleans(),
)
def test_arbitrary_bytes_never_raise_and_read_the_same_however_cut(dialect, data, sizes, status, content_type, clean):
    how = {"status": status, "content_type": content_type, "clean": clean}
    assert read(dialect, data, sizes=sizes, **how) == read(dialect, data, **how)
    dialect.read_request(data)


@ALL
@pytest.mark.parametrize(
    "piece", [b"data: " + b"x" * 1000 + b"\n\n", b"x" * 1000, b'{"a":"' + b"x" * 1000, b"[[[[{", b": y\n", b"\n"]
)
def test_memory_is_bounded_whatever_comes(dialect, piece):
    reader = dialect.reader(AnswerHead(status=200, content_type=EVENTS), 50_000)
    tracemalloc.start()
    for _ in range(100):
        reader.feed(piece * 5)
    held_bytes, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held_bytes < 20_000
    assert peak_bytes < 300_000


def leaves(value, path=()):
    """Every place in a JSON value, the inner ones too."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield from leaves(item, (*path, key))


def replaced(value, path, junk):
    """A copy of a JSON value with something else in one place."""
    if not path:
        return junk
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], junk)
    return copy


FRAMES = {
    "openai.chat": [
        CHUNK,
        LAST,
        BODY,
        b'{"choices":[],"base_resp":{"status_code":1,"status_msg":"m"},"x_groq":{"usage":{}}}',
    ],
    "minimax.native": [
        CHUNK,
        LAST,
        BODY,
        b'{"choices":null,"usage":{"total_tokens":0},"base_resp":{"status_code":1008}}',
    ],
    "openai.responses": [
        (
            b'{"type":"response.completed","response":{"id":"r","status":"completed","output":[{"type":"message","content":'
            b'[{"type":"output_text","text":"a"}]}],"usage":{"input_tokens":1,"output_tokens":2,"input_tokens_details":'
            b'{"cached_tokens":1}},"tool_usage":{"web_search":{"num_requests":1}}}}'
        ),
        b'{"type":"error","code":"c","message":"m"}',
        b'{"id":"r","status":"incomplete","incomplete_details":{"reason":"x"},"error":{"code":"c"}}',
    ],
    "anthropic.messages": [
        (
            b'{"type":"message_start","message":{"id":"m","model":"n","content":[{"type":"text","text":"a"}],"usage":'
            b'{"input_tokens":1,"output_tokens":1,"cache_creation":{"ephemeral_5m_input_tokens":1}}}}'
        ),
        (
            b'{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2,"iterations":'
            b'[{"type":"message","input_tokens":1,"output_tokens":2}],"server_tool_use":{"web_search_requests":1}}}'
        ),
        b'{"type":"error","error":{"type":"t","message":"m"}}',
    ],
    "gemini.generate": [
        (
            b'{"candidates":[{"content":{"parts":[{"text":"a"},{"functionCall":{}}]},"finishReason":"STOP"}],"usageMetadata":'
            b'{"promptTokenCount":1,"totalTokenCount":3,"promptTokensDetails":[{"modality":"AUDIO","tokenCount":1}]},'
            b'"modelVersion":"m","responseId":"r"}'
        ),
        b'{"promptFeedback":{"blockReason":"SAFETY"}}',
        b'{"error":{"code":429,"message":"m","details":[{"reason":"r"}]}}',
    ],
}
MUTATIONS = [
    pytest.param(dialect, json.loads(frame), path, id=f"{dialect.name} {number} {'.'.join(map(str, path))}")
    for dialect in DIALECTS
    for number, frame in enumerate(FRAMES[dialect.name])
    for path in leaves(json.loads(frame))
]
JUNK = [None, True, -1, 1.5, 10**30, 1e300, "text", "", [], {}, [[]], [{}], {"a": [None]}, [7, "x"], "\ud83d"]


@pytest.mark.parametrize(("dialect", "frame", "path"), MUTATIONS)
def test_a_good_frame_with_anything_anywhere_never_raises(dialect, frame, path):
    for junk in JUNK:
        text = json.dumps(replaced(frame, path, junk)).encode()
        for status in (200, 400):
            facts = facts_of(dialect, text, content_type=JSON, status=status)
            json.dumps([facts.model, facts.response_id, facts.finish_reason]).encode()
            assert facts.error is not None or status == 200
        facts_of(dialect, sse(text, text))
