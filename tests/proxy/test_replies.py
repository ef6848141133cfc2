"""Answers of our own are complete HTTP, in the dialect's envelope, and say who speaks."""

import json

import pytest

from proxy.core.sse import EventSplitter
from proxy.dialects.anthropic_messages import ANTHROPIC_MESSAGES
from proxy.dialects.openai_chat import OPENAI_CHAT
from proxy.dialects.openai_responses import OPENAI_RESPONSES
from proxy.replies import Reply, encode, error_event

REPLY = Reply(status=502, code="upstream_unreachable", message="no route", headers=(("Retry-After", "3"),))


@pytest.mark.parametrize("dialect", [OPENAI_CHAT, ANTHROPIC_MESSAGES])
def test_an_answer_of_ours_has_a_true_length_the_call_id_and_the_reason(dialect):
    answer = encode(REPLY, dialect, "c1", close=True)

    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"HTTP/1.1 502 Bad Gateway"
    assert b"Content-Length: %d" % len(body) in lines
    assert {b"x-taximeter-call-id: c1", b"x-taximeter-error: upstream_unreachable", b"Retry-After: 3"} <= set(lines)
    assert b"Connection: close" in lines
    assert json.loads(body)["error"]["message"].startswith("Taximeter: no route")


def test_an_answer_to_head_has_no_body_and_keeps_the_connection():
    answer = encode(REPLY, OPENAI_CHAT, "c1", close=False, body_wanted=False)

    assert answer.endswith(b"\r\n\r\n")
    assert b"Connection" not in answer


def test_a_status_without_a_name_is_still_http():
    assert encode(Reply(status=529, code="c", message="m"), OPENAI_CHAT, "c1", close=True).startswith(
        b"HTTP/1.1 529 Error\r\n"
    )


@pytest.mark.parametrize(
    ("dialect", "name"), [(OPENAI_CHAT, b""), (ANTHROPIC_MESSAGES, b"error"), (OPENAI_RESPONSES, b"error")]
)
def test_an_error_in_a_stream_is_one_event_with_the_dialects_envelope(dialect, name):
    (event,) = EventSplitter().feed(error_event(REPLY, dialect, "c1"))

    assert (event.name, event.complete) == (name, True)
    assert event.data == dialect.error_body(502, "upstream_unreachable", "Taximeter: no route", "c1")
