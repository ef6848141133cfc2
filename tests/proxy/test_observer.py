"""Invariant "Client first": watching an answer never raises, and what was read until it stopped still counts."""

import gzip
from collections import Counter

import pytest

from proxy.core.facts import AnswerHead, RequestFacts, ResponseFacts
from proxy.dialects.openai_chat import OPENAI_CHAT
from proxy.observer import Observer

BODY = b'{"id":"x","model":"m","choices":[{"message":{"content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2}}'
EVENT = b'data: {"id":"x","choices":[{"delta":{"content":"hi"}}],"usage":{"prompt_tokens":3,"completion_tokens":2}}\n\n'


def head(content_type: str = "application/json", coding: str = "", status: int = 200) -> AnswerHead:
    return AnswerHead(status=status, content_type=content_type, content_encoding=coding)


class Losses(Counter):
    def lose(self, reason: str) -> None:
        self[reason] += 1


@pytest.fixture
def losses() -> Losses:
    return Losses()


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_a_compressed_answer_is_read_on_the_copy(losses: Losses, step: int):
    observer = Observer(OPENAI_CHAT, head(coding="gzip"), 10_000, losses.lose)
    packed = gzip.compress(BODY)

    for start in range(0, len(packed), step):
        observer.feed(packed[start : start + step])
    facts = observer.finish(clean=True)

    assert (facts.usage.input_tokens, facts.usage.output_tokens, facts.unread) == (3, 2, None)
    assert not losses


def test_a_body_over_the_limit_is_given_up_and_counted_once(losses: Losses):
    observer = Observer(OPENAI_CHAT, head(), 100, losses.lose)

    for _ in range(5):
        observer.feed(BODY)

    assert observer.finish(clean=True).unread == "body_too_large"
    assert losses == {"body_too_large": 1}


def test_a_stream_has_no_limit_in_all(losses: Losses):
    observer = Observer(OPENAI_CHAT, head("text/event-stream"), 100, losses.lose)

    for _ in range(100):
        observer.feed(EVENT)
    observer.feed(b"data: [DONE]\n\n")

    assert observer.finish(clean=True).usage.input_tokens == 3
    assert not losses


def test_what_was_read_before_a_damaged_coding_still_counts(losses: Losses):
    observer = Observer(OPENAI_CHAT, head("text/event-stream", "gzip"), 10_000, losses.lose)

    observer.feed(gzip.compress(EVENT))
    observer.feed(gzip.compress(EVENT)[:12] + b"damaged" * 20)
    facts = observer.finish(clean=True)

    assert facts.usage.input_tokens == 3
    assert facts.unread == "bad_coding"
    assert losses == {"bad_coding": 1}


def test_a_reader_that_fails_is_counted_and_silenced(losses: Losses):
    class Broken:
        name = "broken"

        def read_request(self, body: bytes) -> RequestFacts:
            raise NotImplementedError

        def error_body(self, status: int, code: str, message: str, call_id: str) -> bytes:
            raise NotImplementedError

        def reader(self, head: AnswerHead):
            return self

        saw_content = False

        def feed(self, data: bytes) -> None:
            raise RuntimeError("a bug")

        def finish(self, *, clean: bool) -> ResponseFacts:
            raise RuntimeError("another")

    observer = Observer(Broken(), head(), 1000, losses.lose)
    observer.feed(b"x")
    observer.feed(b"y")

    assert observer.finish(clean=True) == ResponseFacts(unread="reader_failed")
    assert losses == {"reader_failed": 1}


def test_without_a_dialect_nothing_is_read_and_nothing_is_lost(losses: Losses):
    observer = Observer(None, head(), 10, losses.lose)
    observer.feed(b"x" * 100)

    assert observer.finish(clean=True) == ResponseFacts()
    assert not losses


def test_asked_again_it_says_the_same(losses: Losses):
    observer = Observer(OPENAI_CHAT, head(), 1000, losses.lose)
    observer.feed(b"no json")

    assert observer.finish(clean=True) is observer.finish(clean=False)
    assert losses == {"not_json": 1}
