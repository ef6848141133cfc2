"""Invariant "No secret leaves": whatever a provider repeats, no key gets into a record."""

import pytest

from tests.fakes.raw_requests import CHAT, post
from tests.fakes.raw_upstream import Conversation, answers, raw_upstream
from tests.fakes.running_worker import running_worker
from tests.fakes.settings import provider

APP, OPERATOR = "sk-app-0123456789", "sk-operator-0123456789"


def refusal(message: str) -> bytes:
    body = b'{"error":{"message":"%b","type":"invalid_request_error"}}' % message.encode()
    return b"HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
        len(body),
        body,
    )


@pytest.mark.parametrize("kind", ["openai", "anthropic", "gemini"])
@pytest.mark.parametrize("api_key", [OPERATOR, None])
async def test_a_key_that_the_provider_repeats_is_not_recorded(kind: str, api_key: str | None):
    answer = refusal(f"Incorrect API key provided: {APP}. It is not {OPERATOR}.")
    if api_key is None:
        answer = refusal(f"Incorrect API key provided: {APP}.")
    path = {"openai": CHAT, "anthropic": b"/p/v1/messages", "gemini": b"/p/v1beta/models/m:generateContent"}[kind]
    async with (
        raw_upstream(answers(answer)) as upstream,
        running_worker(provider("p", upstream.url, kind, api_key=api_key)) as worker,
    ):
        got = await worker.exchange(post(path, b"{}", b"Authorization: Bearer " + APP.encode()))

        assert APP.encode() in got, "the app gets what the provider said"
        said = repr(worker.journal.closed) + repr(worker.journal.opened)
        assert APP not in said
        assert OPERATOR not in said
        assert "Incorrect API key provided: [redacted]" in said


async def test_a_key_in_the_query_is_not_recorded_either():
    async def play(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.say(refusal(f"API key {APP} not valid."))

    async with raw_upstream(play) as upstream, running_worker(provider("p", upstream.url, "gemini")) as worker:
        await worker.exchange(post(b"/p/v1beta/models/m:generateContent?key=" + APP.encode(), b"{}"))

        assert APP not in repr(worker.journal.closed) + repr(worker.journal.opened)


async def test_a_word_that_stands_for_no_key_leaves_the_message_as_it_is():
    async with (
        raw_upstream(answers(refusal("none of it"))) as upstream,
        running_worker(provider("p", upstream.url)) as worker,
    ):
        await worker.exchange(post(CHAT, b"{}", b"Authorization: Bearer none"))

        error = worker.journal.closed[0].attempts[0].error
        assert error is not None
        assert error.message == "none of it"
