"""What an app may do to its own request: it is told what is wrong, nobody waits for ever, and the blame is its own."""

import asyncio
import gc
import gzip

import pytest

from proxy.downstream.server import ClientConnection, ClientRequest
from tests.fakes.raw_upstream import Conversation, answers, raw_upstream
from tests.fakes.running_worker import running_worker
from tests.fakes.settings import provider
from tests.fakes.until import until

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
READ = b"/p/v1/chat/completions"
PASSED_ON = b"/p/v1/files"


def post(path: bytes, *lines: bytes) -> bytes:
    return b"\r\n".join([b"POST %b HTTP/1.1" % path, b"Host: a", *lines, b"Connection: close"]) + b"\r\n\r\n"


@pytest.mark.parametrize("path", [READ, PASSED_ON])
@pytest.mark.parametrize("broken", [b"2\r\nabcd\r\n", b"zz\r\n", b"-1\r\n", b"2\nab\n"])
async def test_a_body_whose_framing_breaks_after_its_head_is_a_400(path: bytes, broken: bytes):
    async def play(conversation: Conversation) -> None:
        await conversation.reader.readuntil(b"\r\n\r\n")
        await conversation.say(CONTINUE)
        await conversation.request()

    async with raw_upstream(play) as upstream, running_worker(provider("p", upstream.url)) as worker:
        reader, writer = await worker.connect()
        writer.write(post(path, b"Transfer-Encoding: chunked", b"Expect: 100-continue"))
        async with asyncio.timeout(10):
            await reader.readuntil(CONTINUE)
            writer.write(b"2\r\nab\r\n" + broken)
            answer = await reader.read()
        writer.close()

        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b"x-taximeter-error: malformed_request" in answer
        assert upstream.connections == (path == PASSED_ON)
        assert upstream.requests == []
        (call,) = worker.journal.closed
        assert call.status == 400


@pytest.mark.parametrize("path", [READ, PASSED_ON])
async def test_an_app_that_stalls_in_its_body_is_told_so_and_not_its_provider_blamed(path: bytes):
    settings = {"first_byte_timeout_s": 0.3, "idle_timeout_s": 0.3}
    async with raw_upstream(answers(OK)) as upstream, running_worker(provider("p", upstream.url, **settings)) as worker:
        reader, writer = await worker.connect()
        writer.write(post(path, b"Content-Length: 10") + b"{")
        async with asyncio.timeout(10):
            head = await reader.readuntil(b"\r\n\r\n")
        writer.close()

        assert head.startswith(b"HTTP/1.1 408 ")
        assert b"x-taximeter-error: request_timeout" in head
        (call,) = await worker.journal.calls(1)
        assert call.status == 408
        assert all(attempt.error and attempt.error.fault == "client" for attempt in call.attempts)


async def test_an_app_that_leaves_in_its_body_has_cancelled_the_call():
    async with raw_upstream(answers(OK)) as upstream, running_worker(provider("p", upstream.url)) as worker:
        _, writer = await worker.connect()
        writer.write(post(READ, b"Content-Length: 10") + b"{")
        await writer.drain()
        writer.close()

        (call,) = await worker.journal.calls(1)
        assert (call.outcome, call.status, call.client_gone) == ("cancelled", 0, True)


async def test_a_transfer_coding_that_the_provider_would_not_be_told_of_is_refused():
    async with raw_upstream(answers(OK)) as upstream, running_worker(provider("p", upstream.url)) as worker:
        for path in (READ, PASSED_ON):
            answer = await worker.exchange(post(path, b"Transfer-Encoding: gzip, chunked") + b"2\r\nab\r\n0\r\n\r\n")

            assert answer.startswith(b"HTTP/1.1 501 ")
        assert upstream.requests == []


async def test_a_coded_body_is_read_no_further_than_what_may_be_captured():
    body = gzip.compress(b'{"model":"m","x":"' + b" " * 100_000 + b'"}')
    async with raw_upstream(answers(OK)) as upstream:
        for limit, model in ((100_000, ""), (200_000, "m")):
            async with running_worker(provider("p", upstream.url), max_captured_bytes=limit) as worker:
                await worker.exchange(post(READ, b"Content-Encoding: gzip", b"Content-Length: %d" % len(body)) + body)

                assert worker.journal.closed[0].model_requested == model
                assert ("request_too_large" in worker.journal.losses) == (not model)
        assert all(request.endswith(body) for request in upstream.requests)


@pytest.mark.parametrize(
    "request_bytes",
    [
        post(READ, b"Content-Length: 1000000") + b"x" * 500_000,
        post(PASSED_ON, b"Content-Length: 1000000") + b"x" * 500_000,
        post(READ, b"Transfer-Encoding: chunked") + b"5\r\nhello\r\nzz\r\n",
        post(b"/nobody/x", b"Content-Length: 1000000") + b"x" * 500_000,
        b"nonsense\r\n\r\n",
    ],
    ids=["read", "passed on", "malformed", "refused", "no http"],
)
async def test_a_request_that_breaks_off_does_not_wait_for_the_garbage_collector(request_bytes: bytes):
    async with raw_upstream(answers(OK)) as upstream, running_worker(provider("p", upstream.url)) as worker:
        gc.collect()
        gc.disable()
        try:
            for _ in range(3):
                _, writer = await worker.connect()
                writer.write(request_bytes)
                await writer.drain()
                await until(lambda: live(ClientConnection))
                writer.close()
                await until(lambda: not live(ClientConnection))
            assert not live(ClientRequest)
        finally:
            gc.enable()


def live(kind: type) -> int:
    return sum(isinstance(found, kind) for found in gc.get_objects())
