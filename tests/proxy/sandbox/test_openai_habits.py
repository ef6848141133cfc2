from decimal import Decimal

import pytest

from proxy.sandbox.openai_chat import answer
from proxy.sandbox.openai_habits import OPENROUTER_USD_PER_MILLION, failure_of, first_events, headers
from proxy.sandbox.words import MARKER
from tests.fakes.sandbox_asks import ask, body_of, events_of

ROUTED = "/openrouter/api/v1/chat/completions"
HI = {"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}


@pytest.mark.parametrize(
    ("path", "header"),
    [
        ("/v1/chat/completions", "x-request-id"),
        ("/openai/deployments/d/chat/completions", "apim-request-id"),
        ("/deepseek/chat/completions", "x-ds-trace-id"),
        (ROUTED, "x-generation-id"),
    ],
)
def test_each_provider_names_the_request_in_its_own_header(path, header):
    found = headers(ask(path, HI))
    assert found[header]
    assert found == headers(ask(path, HI))


@pytest.mark.parametrize(
    ("path", "first"),
    [
        ("/v1/chat/completions", []),
        ("/deepseek/chat/completions", [b": keep-alive\n\n"]),
        (ROUTED, [b": OPENROUTER PROCESSING\n\n"]),
    ],
)
def test_some_streams_begin_with_a_comment(path, first):
    assert first_events(ask(path, HI), {}) == first


def test_openrouter_states_money_and_the_answer_is_the_same_in_a_stream():
    body = body_of(answer(ask(ROUTED, HI)))
    usage = body["usage"]
    tokens = (usage["prompt_tokens"], usage["completion_tokens"])
    due = sum(Decimal(str(price)) * count for price, count in zip(OPENROUTER_USD_PER_MILLION, tokens, strict=True))
    assert Decimal(str(usage["cost"])) == due / 1_000_000
    assert body["id"].startswith("gen-sandbox")
    *chunks, last, done = events_of(answer(ask(ROUTED, {**HI, "stream": True})))
    assert not any("usage" in chunk for chunk in chunks)
    assert (last["usage"], done) == (usage, "[DONE]")
    assert [chunk["choices"][0]["finish_reason"] for chunk in (chunks[-1], last)] == ["stop", "stop"]


def test_openrouters_errors_have_a_number_for_a_code():
    failure = failure_of(ask(ROUTED, HI), "429")
    assert failure.body["error"]["code"] == failure.status == 429
    assert failure.body["error"]["metadata"]["raw"].startswith(MARKER)
    assert failure_of(ask("/v1/chat/completions", HI), "429").body["error"]["code"] == "rate_limit_exceeded"


def test_openrouters_stream_breaks_with_a_chunk_that_has_an_error():
    last = events_of(answer(ask(ROUTED, {**HI, "stream": True}, wishes="error=stream:503")))[-1]
    assert last["choices"][0]["finish_reason"] == "error"
    assert last["error"]["code"] == 503
