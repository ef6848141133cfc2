"""How a call ended, told over real sockets: nobody is blamed who did his part."""

import asyncio

import msgspec
import pytest

from proxy.providers import find_provider
from tests.fakes.raw_requests import ASKS_STREAM, CHAT, FILES, OK, get, post
from tests.fakes.raw_upstream import Conversation, answers, raw_upstream
from tests.fakes.running_worker import running_worker
from tests.fakes.settings import provider
from tests.fakes.until import until

STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
WORD = b'data: {"id":"x","choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":null}]}\n\n'
LAST_WORD = (
    b'data: {"id":"x","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
    b'data: {"id":"x","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}\n\n'
)
DONE = b"data: [DONE]\n\n"
MESSAGE = (
    b'event: message_start\ndata: {"type":"message_start","message":{"id":"x","model":"m","usage":{"input_tokens":3}}}\n\n'
    b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2}}\n\n'
)
MESSAGE_STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'


def chunked(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def says_and_waits(*pieces: bytes):
    """A provider that says so much and then waits for the other side to leave."""

    async def play(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.say(*pieces)
        await conversation.gone()

    return play


@pytest.mark.parametrize(
    ("path", "events", "marker"),
    [(CHAT, WORD + LAST_WORD, DONE), (b"/p/v1/messages", MESSAGE, MESSAGE_STOP)],
    ids=["openai", "anthropic"],
)
async def test_an_app_that_closes_a_stream_at_its_end_marker_had_its_answer(path: bytes, events: bytes, marker: bytes):
    play = says_and_waits(STREAM + chunked(events + marker))
    kind = "openai_compatible"
    async with raw_upstream(play) as upstream, running_worker(provider("p", upstream.url, kind)) as worker:
        reader, writer = await worker.connect()
        writer.write(post(path, ASKS_STREAM))
        async with asyncio.timeout(5):
            await reader.readuntil(marker)
            writer.close()
            (call,) = await worker.journal.calls(1)

        assert (call.outcome, call.error_class, call.client_gone) == ("ok", None, True)
        assert (call.attempts[0].usage.input_tokens, call.attempts[0].usage.output_tokens) == (3, 2)


async def test_an_app_that_closes_a_stream_before_its_end_has_cancelled_it():
    play = says_and_waits(STREAM + chunked(WORD))
    async with raw_upstream(play) as upstream, running_worker(provider("p", upstream.url)) as worker:
        reader, writer = await worker.connect()
        writer.write(post(CHAT, ASKS_STREAM))
        async with asyncio.timeout(5):
            await reader.readuntil(b"hi")
            writer.close()
            (call,) = await worker.journal.calls(1)

        assert (call.outcome, call.error_class, call.status) == ("cancelled", "cancelled_by_client", 200)
        assert call.client_gone
        assert call.attempts[0].error is not None
        assert call.attempts[0].error.fault == "client"


async def test_a_tunnel_that_the_app_leaves_came_to_an_ordinary_end():
    play = says_and_waits(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    async with raw_upstream(play) as upstream, running_worker(provider("p", upstream.url)) as worker:
        reader, writer = await worker.connect()
        writer.write(get(b"/p/v1/realtime", b"Connection: Upgrade", b"Upgrade: websocket", close=False))
        async with asyncio.timeout(5):
            await reader.readuntil(b"\r\n\r\n")
            writer.close()
            (call,) = await worker.journal.calls(1)

        assert (call.outcome, call.error_class, call.status) == ("ok", None, 101)


@pytest.mark.parametrize("path", [CHAT, FILES], ids=["read", "streamed"])
async def test_an_app_that_leaves_in_mid_request_has_seen_no_status(path: bytes):
    async with raw_upstream(answers(OK)) as upstream, running_worker(provider("p", upstream.url)) as worker:
        _, writer = await worker.connect()
        writer.write(post(path, b"x" * 100)[:-50])
        writer.close()
        (call,) = await worker.journal.calls(1)

        assert (call.outcome, call.error_class, call.status) == ("cancelled", "cancelled_by_client", 0)
        assert call.client_gone


async def test_the_time_to_the_first_token_is_that_of_streams():
    whole = b'{"id":"x","choices":[{"index":0,"message":{"content":"hi"},"finish_reason":"stop"}]}'
    play = answers(
        STREAM + chunked(WORD + LAST_WORD + DONE) + b"0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(whole), whole),
    )
    async with raw_upstream(play) as upstream, running_worker(provider("p", upstream.url)) as worker:
        await worker.exchange(post(CHAT, ASKS_STREAM))
        await worker.exchange(post(CHAT, b'{"model":"m"}'))

        stream, body = worker.journal.closed
        assert stream.attempts[0].ttft_ns is not None
        assert stream.attempts[0].ttfb_ns is not None
        assert 0 < stream.attempts[0].ttfb_ns <= stream.attempts[0].ttft_ns <= stream.attempts[0].duration_ns
        assert body.attempts[0].ttft_ns is None
        for call in (stream, body):
            assert 0 <= call.overhead_ns <= call.duration_ns - call.attempts[0].duration_ns


async def test_what_was_opened_is_what_is_closed():
    async with raw_upstream(answers(OK)) as upstream, running_worker(provider("p", upstream.url)) as worker:
        await worker.exchange(post(CHAT, ASKS_STREAM, b"x-taximeter-team: search"))

        (opened,), (closed,) = worker.journal.opened, worker.journal.closed
        shared = (
            "call_id", "started_at_ns", "trace", "caller", "provider", "dialect", "operation", "method", "path",
            "model_requested", "max_output_tokens", "streaming", "billable", "request_bytes",
        )  # fmt: skip
        assert [getattr(opened, name) for name in shared] == [getattr(closed, name) for name in shared]
        assert closed.caller.team == "search"


async def test_a_rule_of_a_provider_that_fails_costs_its_correction_and_nothing_else(monkeypatch: pytest.MonkeyPatch):
    def fail(asked: object, answered: object) -> None:
        raise RuntimeError("a bug")

    kind = msgspec.structs.replace(find_provider("openai"), amend=fail)
    monkeypatch.setattr("proxy.worker.find_provider", lambda _kind: kind)
    whole = STREAM + chunked(WORD + LAST_WORD + DONE) + b"0\r\n\r\n"
    async with raw_upstream(answers(whole)) as upstream, running_worker(provider("p", upstream.url)) as worker:
        await worker.exchange(post(CHAT, ASKS_STREAM))

        (call,) = worker.journal.closed
        assert (call.outcome, call.attempts[0].usage.output_tokens) == ("ok", 2)
        assert worker.journal.losses == ["amend_failed"]


async def test_no_side_can_make_a_record_long():
    long = b"m" * 100_000
    answer = b'{"id":"%b","model":"%b","service_tier":"%b","choices":[{"finish_reason":"%b"}]}' % (
        long,
        long,
        long,
        long,
    )
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\nx-request-id: %b\r\n\r\n"
    play = answers(head % (len(answer), long) + answer)
    async with raw_upstream(play) as upstream, running_worker(provider("p", upstream.url)) as worker:
        await worker.exchange(post(b"/p/" + b"x" * 50_000 + b"/v1/chat/completions", b'{"model":"%b"}' % long))

        for record in (*worker.journal.opened, *worker.journal.closed):
            assert len(repr(record)) < 10_000


@pytest.mark.parametrize(
    "answer",
    [b"SSH-2.0-OpenSSH_9.6\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n", b"HTTP/2.0 200 OK\r\n\r\n"],
    ids=["another protocol", "no length", "another version"],
)
async def test_what_is_no_answer_is_told_from_a_provider_that_cannot_be_reached(answer: bytes):
    async with raw_upstream(answers(answer)) as upstream, running_worker(provider("p", upstream.url)) as worker:
        got = await worker.exchange(post(CHAT, b"{}"))

        assert got.startswith(b"HTTP/1.1 502 ")
        assert b"x-taximeter-error: upstream_malformed" in got
        (call,) = worker.journal.closed
        assert (call.outcome, call.error_class, call.status) == ("error", "bad_upstream_body", 502)
        assert call.attempts[0].status == 0


async def test_an_app_that_left_before_there_was_a_connection_has_cancelled_its_call():
    async def play(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.gone()

    async with (
        raw_upstream(play) as upstream,
        running_worker(provider("p", upstream.url, max_connections=1, connect_timeout_s=0.3)) as worker,
    ):
        _, busy = await worker.connect()
        busy.write(post(CHAT, b"{}"))
        await until(lambda: upstream.requests)
        _, waiting = await worker.connect()
        waiting.write(post(CHAT, b"{}"))
        await until(lambda: len(worker.journal.opened) == 2)
        waiting.close()
        (call,) = await worker.journal.calls(1)
        busy.close()

        assert (call.outcome, call.error_class, call.status) == ("cancelled", "cancelled_by_client", 0)
        assert len(call.attempts) == 1
