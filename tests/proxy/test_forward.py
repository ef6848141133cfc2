"""Forwarding: the provider gets what the app sent; a request is sent twice only where nobody can have worked on it."""

import asyncio
import json

import pytest

from tests.fakes.raw_upstream import Conversation, answers, raw_upstream
from tests.fakes.running_worker import RunningWorker, running_worker
from tests.fakes.settings import provider
from tests.fakes.until import until

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
CHAT = b"/p/v1/chat/completions"


def post(path: bytes, body: bytes, *headers: bytes, close: bool = True) -> bytes:
    lines = [b"POST %b HTTP/1.1" % path, b"Host: proxy", b"Content-Length: %d" % len(body), *headers]
    if close:
        lines.append(b"Connection: close")
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


async def test_the_provider_gets_path_query_headers_and_body_as_they_were_sent():
    body = b'{"model": "m",  "messages": []}\n'
    request = post(
        CHAT + b"/..//%2f?a=%20&a=b&=",
        body,
        b"X-Twice: 1",
        b"x-twice: 2",
        b"User-Agent:   odd  ",
        b"Authorization: Bearer sk-app",
        b"Accept-Encoding: br",
        b"x-taximeter-team: search",
    )
    async with raw_upstream(answers(OK)) as upstream, running_worker(provider("p", upstream.url)) as worker:
        await worker.exchange(request)

        (got,) = upstream.requests
        head, _, sent = got.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        assert lines[0] == b"POST /v1/chat/completions/..//%2f?a=%20&a=b&= HTTP/1.1"
        assert lines[1] == b"Host: 127.0.0.1:%d" % upstream.port
        assert [line for line in lines[2:] if not line.startswith(b"traceparent")] == [
            b"X-Twice: 1",
            b"x-twice: 2",
            b"User-Agent: odd",
            b"Authorization: Bearer sk-app",
            b"Accept-Encoding: br",
            b"Content-Length: %d" % len(body),
        ]
        assert sent == body
        assert worker.journal.closed[0].caller.team == "search"


async def test_the_attempt_s_span_is_what_the_provider_sees_as_parent():
    trace = b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with raw_upstream(answers(OK)) as upstream, running_worker(provider("p", upstream.url)) as worker:
        await worker.exchange(post(CHAT, b"{}", trace))

        (call,) = worker.journal.closed
        assert call.trace.trace_id == "0af7651916cd43dd8448eb211c80319c"
        assert call.trace.parent_span_id == "b7ad6b7169203331"
        wanted = f"traceparent: 00-{call.trace.trace_id}-{call.attempts[0].span_id}-01".encode()
        assert wanted in upstream.requests[0]


async def test_trace_context_can_be_kept_from_a_provider():
    async with (
        raw_upstream(answers(OK)) as upstream,
        running_worker(provider("p", upstream.url, traceparent=False)) as worker,
    ):
        await worker.exchange(post(CHAT, b"{}"))

        assert b"traceparent" not in upstream.requests[0]


async def test_the_operator_s_key_takes_the_place_of_the_app_s():
    async with (
        raw_upstream(answers(OK)) as upstream,
        running_worker(provider("p", upstream.url, api_key="sk-operator")) as worker,
    ):
        await worker.exchange(post(CHAT, b"{}", b"Authorization: Bearer sk-app", b"x-api-key: sk-app"))

        assert b"\r\nAuthorization: Bearer sk-operator\r\n" in upstream.requests[0]
        assert b"sk-app" not in upstream.requests[0]


@pytest.mark.parametrize("path", [CHAT, b"/p/v1/files"], ids=["read", "streamed"])
async def test_a_chunked_request_body_arrives_whole(path: bytes):
    request = (
        b"POST %b HTTP/1.1\r\nHost: proxy\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n" % path
        + b"3\r\n{}{\r\n2;x=1\r\n}x\r\n0\r\n\r\n"
    )
    async with raw_upstream(answers(OK)) as upstream, running_worker(provider("p", upstream.url)) as worker:
        await worker.exchange(request)

        assert upstream.requests[0].endswith(b"{}{}x")
        (call,) = worker.journal.closed
        assert call.request_bytes == 5


async def test_an_upload_streams_through_while_it_is_sent():
    seen: asyncio.Queue[bytes] = asyncio.Queue()

    async def play(conversation: Conversation) -> None:
        await conversation.reader.readuntil(b"\r\n\r\n")
        while len(piece := await conversation.reader.readexactly(4)) == 4:
            seen.put_nowait(piece)
            if piece == b"last":
                await conversation.say(OK)

    async with raw_upstream(play) as upstream, running_worker(provider("p", upstream.url)) as worker:
        reader, writer = await worker.connect()
        writer.write(b"POST /p/v1/files HTTP/1.1\r\nHost: proxy\r\nContent-Length: 8\r\nConnection: close\r\n\r\n")
        writer.write(b"1st ")
        async with asyncio.timeout(5):
            assert await seen.get() == b"1st "
            writer.write(b"last")
            assert (await reader.read(-1)).endswith(b"{}")


async def test_expect_continue_is_answered_by_the_provider_where_the_body_streams_through():
    async def play(conversation: Conversation) -> None:
        head = await conversation.reader.readuntil(b"\r\n\r\n")
        assert b"Expect: 100-continue" in head
        await conversation.say(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert await conversation.reader.readexactly(4) == b"body"
        await conversation.say(OK)

    async with raw_upstream(play) as upstream, running_worker(provider("p", upstream.url)) as worker:
        assert await expecting(worker, b"/p/v1/files")


async def test_expect_continue_is_answered_by_the_proxy_where_it_reads_the_body():
    async with raw_upstream(answers(OK)) as upstream, running_worker(provider("p", upstream.url)) as worker:
        assert await expecting(worker, CHAT)
        assert b"xpect" not in upstream.requests[0]


async def test_an_http_1_0_app_gets_no_interim_answer_of_ours():
    async with raw_upstream(answers(OK)) as upstream, running_worker(provider("p", upstream.url)) as worker:
        reader, writer = await worker.connect()
        writer.write(b"POST %b HTTP/1.0\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n" % CHAT)
        # A call after it on another connection: by then this one's head was taken up.
        await worker.exchange(post(CHAT, b"{}"))
        writer.write(b"body")
        async with asyncio.timeout(5):
            assert (await reader.read()).startswith(b"HTTP/1.1 200 OK")


async def expecting(worker: RunningWorker, path: bytes) -> bool:
    reader, writer = await worker.connect()
    writer.write(
        b"POST %b HTTP/1.1\r\nHost: proxy\r\nContent-Length: 4\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
        % path
    )
    async with asyncio.timeout(5):
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"body")
        return (await reader.read(-1)).startswith(b"HTTP/1.1 200 OK")


async def test_an_early_refusal_of_an_upload_reaches_the_app():
    async def play(conversation: Conversation) -> None:
        await conversation.reader.readuntil(b"\r\n\r\n")
        await conversation.say(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nno!")
        await conversation.gone()

    async with raw_upstream(play) as upstream, running_worker(provider("p", upstream.url)) as worker:
        reader, writer = await worker.connect()
        writer.write(b"POST /p/v1/files HTTP/1.1\r\nHost: proxy\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1000)
        async with asyncio.timeout(5):
            assert (await reader.readuntil(b"no!")).startswith(b"HTTP/1.1 413 Too Large")
        writer.close()


async def test_an_app_that_leaves_in_mid_upload_closes_the_upstream():
    left: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def play(conversation: Conversation) -> None:
        await conversation.gone()
        left.set_result(None)

    async with raw_upstream(play) as upstream, running_worker(provider("p", upstream.url)) as worker:
        _, writer = await worker.connect()
        writer.write(b"POST /p/v1/files HTTP/1.1\r\nHost: proxy\r\nContent-Length: 1000\r\n\r\nabc")
        await until(lambda: upstream.connections)
        writer.close()

        async with asyncio.timeout(5):
            await left
        (call,) = await worker.journal.calls(1)
        assert call.outcome == "cancelled"


async def test_a_request_on_a_stale_connection_is_sent_again_on_a_fresh_one():
    async def play(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.say(OK)
        await conversation.request()  # and closes without an answer

    async with raw_upstream(play) as upstream, running_worker(provider("p", upstream.url)) as worker:
        reader, writer = await worker.connect()
        async with asyncio.timeout(5):
            for _ in range(2):
                writer.write(post(CHAT, b"{}", close=False))
                assert (await reader.readuntil(b"\r\n\r\n{}")).startswith(b"HTTP/1.1 200 OK")
        writer.close()

        first, second = await worker.journal.calls(2)
        assert first.attempts[0].changes == ()
        assert second.attempts[0].changes == ("resent_on_fresh_connection",)
        assert len(upstream.requests) == 3


async def test_a_fresh_connection_that_closes_without_an_answer_is_not_tried_again():
    async def play(conversation: Conversation) -> None:
        await conversation.request()

    async with raw_upstream(play) as upstream, running_worker(provider("p", upstream.url)) as worker:
        answer = await worker.exchange(post(CHAT, b"{}"))

        assert answer.startswith(b"HTTP/1.1 502 ")
        assert len(upstream.requests) == 1


async def test_a_dead_provider_is_a_502_in_the_dialect_s_envelope_that_says_who_speaks_and_why():
    async with raw_upstream(answers(OK)) as upstream:
        url = upstream.url
    async with running_worker(provider("p", url)) as worker:
        answer = await worker.exchange(post(CHAT, b"{}"))

        head, _, body = answer.partition(b"\r\n\r\n")
        error = json.loads(body)["error"]
        assert head.startswith(b"HTTP/1.1 502 Bad Gateway")
        assert error["message"].startswith("Taximeter: provider p: 127.0.0.1:")
        assert "cannot be reached" in error["message"]
        (call,) = worker.journal.closed
        assert (call.status, call.outcome, call.error_class) == (502, "error", "connect_error")
        assert call.call_id.encode() in head


STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
PLAIN = b'data: {"id":"x","choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":null}]%b}\n\n'
USAGE = b'data: {"id":"x","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}\n\n'
DONE = b"data: [DONE]\n\n"


async def streaming_provider(conversation: Conversation) -> None:
    """Sends usage when it is asked for it, as OpenAI does."""
    while True:
        _, body = await conversation.request()
        asked = b'"include_usage":true' in body
        events = [PLAIN % (b',"usage":null' if asked else b""), *([USAGE] if asked else []), DONE]
        chunks = b"".join(b"%x\r\n%b\r\n" % (len(event), event) for event in events)
        await conversation.say(STREAM_HEAD + chunks + b"0\r\n\r\n")


def payload(answer: bytes) -> bytes:
    body = answer.partition(b"\r\n\r\n")[2]
    found = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        found += body[: int(size, 16)]
        body = body[int(size, 16) + 2 :]
    return found


async def test_a_stream_is_metered_though_the_app_asked_for_no_usage_and_the_app_sees_none():
    async with raw_upstream(streaming_provider) as upstream, running_worker(provider("p", upstream.url)) as worker:
        answer = await worker.exchange(post(CHAT, b'{"model":"m","stream":true}'))

        assert payload(answer) == PLAIN % b"" + DONE
        (call,) = worker.journal.closed
        (attempt,) = call.attempts
        assert (attempt.usage.input_tokens, attempt.usage.output_tokens) == (3, 2)
        assert attempt.changes == ("usage_requested",)
        assert upstream.requests[0].partition(b"\r\n\r\n")[2].count(b"stream_options") == 1


@pytest.mark.parametrize(
    ("body", "more"),
    [
        (b'{"model":"m","stream":true,"stream_options":{"include_usage":true}}', {}),
        (b'{"model":"m","stream":true}', {"inject_usage": False}),
        (b'{"model":"m"}', {}),
    ],
    ids=["asked by the app", "switched off", "no stream"],
)
async def test_a_body_that_needs_no_usage_option_goes_as_it_is(body: bytes, more: dict):
    async with (
        raw_upstream(streaming_provider) as upstream,
        running_worker(provider("p", upstream.url, **more)) as worker,
    ):
        await worker.exchange(post(CHAT, body))

        assert upstream.requests[0].endswith(b"\r\n\r\n" + body)
        assert worker.journal.closed[0].attempts[0].changes == ()


async def test_a_provider_that_refuses_the_usage_option_gets_the_app_s_own_body_and_is_not_asked_again():
    refusal = b'{"error":{"message":"Unrecognized request argument supplied: stream_options","type":"x"}}'

    async def play(conversation: Conversation) -> None:
        while True:
            _, body = await conversation.request()
            if b"stream_options" in body:
                await conversation.say(
                    b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
                    % (len(refusal), refusal)
                )
            else:
                await conversation.say(STREAM_HEAD + b"%x\r\n%b\r\n0\r\n\r\n" % (len(DONE), DONE))

    async with raw_upstream(play) as upstream, running_worker(provider("p", upstream.url)) as worker:
        for _ in range(2):
            answer = await worker.exchange(post(CHAT, b'{"model":"m","stream":true}'))
            assert payload(answer) == DONE

        first, second = worker.journal.closed
        assert [attempt.status for attempt in first.attempts] == [400, 200]
        assert (first.outcome, second.outcome) == ("ok", "ok")
        assert len(second.attempts) == 1
        assert worker.journal.losses.count("usage_option_refused") == 1


async def test_another_400_after_the_usage_option_reaches_the_app_as_it_is():
    body = b'{"error":{"message":"bad temperature","type":"invalid_request_error"}}'
    answer = b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
        len(body),
        body,
    )
    async with raw_upstream(answers(answer)) as upstream, running_worker(provider("p", upstream.url)) as worker:
        got = await worker.exchange(post(CHAT, b'{"model":"m","stream":true}'))

        assert got.endswith(body)
        assert len(upstream.requests) == 1


async def test_a_body_that_is_refused_without_the_usage_option_too_says_nothing_of_the_option():
    body = b'{"error":{"message":"Unknown parameter: stream_options.bogus","type":"invalid_request_error"}}'
    answer = b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
        len(body),
        body,
    )
    async with raw_upstream(answers(answer)) as upstream, running_worker(provider("p", upstream.url)) as worker:
        got = await worker.exchange(post(CHAT, b'{"model":"m","stream":true,"stream_options":{"bogus":1}}'))
        await worker.exchange(post(CHAT, b'{"model":"m","stream":true}'))

        assert got.endswith(body)
        first, _, second, *_ = upstream.requests
        assert b"include_usage" in first
        assert b"include_usage" in second
        assert "usage_option_refused" not in worker.journal.losses


async def test_an_answer_without_a_body_stays_without_one():
    answer = b"HTTP/1.1 204 No Content\r\nContent-Type: text/event-stream\r\nContent-Encoding: gzip\r\n\r\n"
    async with raw_upstream(answers(answer)) as upstream, running_worker(provider("p", upstream.url)) as worker:
        got = await worker.exchange(post(CHAT, b'{"model":"m","stream":true}'))

        assert got.startswith(b"HTTP/1.1 204 ")
        assert got.endswith(b"\r\n\r\n")
