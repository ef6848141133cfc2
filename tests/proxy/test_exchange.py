"""Invariants "Transparent" and "Client first": the app gets the provider's bytes, whole or visibly broken."""

import asyncio
import os

import pytest

from tests.fakes.raw_upstream import Conversation, answers, raw_upstream
from tests.fakes.running_worker import running_worker
from tests.fakes.settings import provider
from tests.fakes.until import until

GET = b"GET /p/v1/things?q=%2F HTTP/1.1\r\nHost: proxy\r\nConnection: close\r\n\r\n"


def split(answer: bytes) -> tuple[bytes, bytes]:
    head, _, body = answer.partition(b"\r\n\r\n")
    return head, body


def unchunked(body: bytes) -> bytes:
    """Payload of a complete chunked body; fails when its end is missing."""
    payload = b""
    while True:
        size, _, body = body.partition(b"\r\n")
        count = int(size, 16)
        if not count:
            assert body == b"\r\n"
            return payload
        payload += body[:count]
        assert body[count : count + 2] == b"\r\n"
        body = body[count + 2 :]


@pytest.mark.parametrize(
    "body",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: 1\r\nx-a: 2\r\n\r\nhello",
        b"HTTP/1.1 418 Short And Stout\r\nTransfer-Encoding: chunked\r\n\r\n5;ext=1\r\nhello\r\n0\r\nX-Trailer: t\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n",
        b'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\nContent-Length: 7\r\n\r\n',
        b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x00\xff\n\r",
    ],
)
async def test_an_answer_arrives_byte_for_byte(body: bytes):
    async with raw_upstream(answers(body)) as upstream, running_worker(provider("p", upstream.url)) as worker:
        answer = await worker.exchange(GET)

        head, payload = split(answer)
        sent_head, sent_payload = split(body)
        call_id = worker.journal.closed[0].call_id.encode()
        own = [b"x-taximeter-call-id: " + call_id, b"Transfer-Encoding: chunked", b"Connection: close"]
        assert [line for line in head.split(b"\r\n") if line not in own] == [
            line for line in sent_head.split(b"\r\n") if not line.startswith(b"Transfer-Encoding")
        ]
        assert payload == sent_payload
        assert (b"Transfer-Encoding: chunked" in head) == (b"Transfer-Encoding: chunked" in sent_head)


async def test_every_piece_of_a_stream_arrives_before_the_next_is_sent():
    pieces = [b"data: %d\n\n" % n for n in range(5)]
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def play(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.say(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        for piece in pieces:
            await conversation.say(b"%x\r\n%b\r\n" % (len(piece), piece))
            assert await heard.get() == piece
        await conversation.say(b"0\r\n\r\n")

    async with raw_upstream(play) as upstream, running_worker(provider("p", upstream.url)) as worker:
        reader, writer = await worker.connect()
        writer.write(GET)
        async with asyncio.timeout(10):
            await reader.readuntil(b"\r\n\r\n")
            for piece in pieces:
                assert await reader.readuntil(b"\n\n\r\n") == b"%x\r\n%b\r\n" % (len(piece), piece)
                heard.put_nowait(piece)
            assert await reader.read(-1) == b"0\r\n\r\n"


async def test_a_body_that_ends_with_its_connection_goes_out_in_chunks_with_an_end():
    async def play(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.say(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nuntil ", b"close")

    async with raw_upstream(play) as upstream, running_worker(provider("p", upstream.url)) as worker:
        head, body = split(await worker.exchange(GET))

        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert unchunked(body) == b"until close"


async def test_an_http_1_0_app_gets_no_chunks():
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    async with raw_upstream(answers(chunked)) as upstream, running_worker(provider("p", upstream.url)) as worker:
        head, body = split(await worker.exchange(b"GET /p/x HTTP/1.0\r\n\r\n"))

        assert b"hunked" not in head
        assert b"Connection: close" in head
        assert body == b"abcde"


async def test_the_head_of_an_answer_to_head_passes_without_a_body():
    async with (
        raw_upstream(answers(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")) as upstream,
        running_worker(provider("p", upstream.url)) as worker,
    ):
        answer = await worker.exchange(GET.replace(b"GET", b"HEAD"))

        assert b"Content-Length: 1000" in answer
        assert answer.endswith(b"\r\n\r\n")


async def test_interim_answers_pass_to_an_http_1_1_app_and_not_to_an_older_one():
    answer = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    async with raw_upstream(answers(answer)) as upstream, running_worker(provider("p", upstream.url)) as worker:
        assert (await worker.exchange(GET)).startswith(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK")
        assert (await worker.exchange(b"GET /p/x HTTP/1.0\r\n\r\n")).startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize(
    "head",
    [b"Content-Length: 100\r\n", b"Transfer-Encoding: chunked\r\n", b""],
    ids=["length", "chunked", "until close, reset"],
)
@pytest.mark.parametrize("reset", [True, False], ids=["reset", "closed"])
async def test_a_break_in_mid_answer_is_a_break_for_the_app(head: bytes, reset: bool):
    if not head and not reset:
        pytest.skip("a clean close is the end of such a body")

    async def play(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.say(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n", b"3\r\nabc\r\n")
        if reset:
            conversation.reset()

    async with raw_upstream(play) as upstream, running_worker(provider("p", upstream.url)) as worker:
        answer = await worker.exchange(GET)
        (call,) = await worker.journal.calls(1)

        assert not answer.endswith(b"0\r\n\r\n")
        assert (call.outcome, call.error_class, call.status) == ("broken", "stream_truncated", 200)


async def test_bad_chunking_gives_what_came_and_then_breaks():
    bad = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nnonsense\r\n"
    async with raw_upstream(answers(bad)) as upstream, running_worker(provider("p", upstream.url)) as worker:
        _, body = split(await worker.exchange(GET))

        assert body == b"3\r\nabc\r\n"
        assert worker.journal.closed[0].outcome == "broken"


async def test_a_client_that_leaves_closes_the_upstream_at_once():
    left: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def play(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        await conversation.gone()
        left.set_result(None)

    async with raw_upstream(play) as upstream, running_worker(provider("p", upstream.url)) as worker:
        reader, writer = await worker.connect()
        writer.write(GET)
        await reader.readuntil(b"abc\r\n")
        writer.close()

        async with asyncio.timeout(5):
            await left
        (call,) = await worker.journal.calls(1)
        assert (call.outcome, call.client_gone, call.status) == ("cancelled", True, 200)
        assert call.attempts[0].response_bytes == 3


async def test_a_client_that_leaves_before_the_answer_closes_the_upstream_too():
    left: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def play(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.gone()
        left.set_result(None)

    async with raw_upstream(play) as upstream, running_worker(provider("p", upstream.url)) as worker:
        _, writer = await worker.connect()
        writer.write(GET)
        await until(lambda: upstream.requests)
        writer.close()

        async with asyncio.timeout(5):
            await left
        (call,) = await worker.journal.calls(1)
        assert (call.outcome, call.status) == ("cancelled", 0)


async def test_a_slow_app_slows_the_provider_down():
    sent = 0

    async def play(conversation: Conversation) -> None:
        nonlocal sent
        await conversation.request()
        block = os.urandom(65536)
        await conversation.say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(block) * 1024))
        for _ in range(1024):
            await conversation.say(block)
            sent += len(block)

    async with raw_upstream(play) as upstream, running_worker(provider("p", upstream.url)) as worker:
        reader, writer = await worker.connect()
        writer.transport.pause_reading()
        writer.write(GET)
        before = -1
        while before != sent or not sent:
            before = sent
            await asyncio.wait({asyncio.ensure_future(until(lambda: sent > before))}, timeout=0.3)  # noqa: B023

        assert sent < 48 * 1024 * 1024, "the proxy took everything although nobody read"
        writer.transport.resume_reading()
        total = 0
        async with asyncio.timeout(30):
            while piece := await reader.read(1 << 20):
                total += len(piece)
        assert total > 64 * 1024 * 1024


async def test_a_web_socket_passes_both_ways_byte_for_byte():
    async def play(conversation: Conversation) -> None:
        head, _ = await conversation.request()
        assert b"upgrade: websocket" in head.lower()
        assert b"Sec-WebSocket-Key: abc==" in head
        await conversation.say(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nfirst"
        )
        while data := await conversation.reader.read(100):
            await conversation.say(data.upper())

    request = (
        b"GET /p/v1/realtime?model=m HTTP/1.1\r\nHost: proxy\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Key: abc==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    async with raw_upstream(play) as upstream, running_worker(provider("p", upstream.url)) as worker:
        reader, writer = await worker.connect()
        writer.write(request + b"early ")
        async with asyncio.timeout(5):
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n")
            assert await reader.readexactly(11) == b"firstEARLY "
            writer.write(b"frame")
            assert await reader.readexactly(5) == b"FRAME"
            writer.close()
            (call,) = await worker.journal.calls(1)
        assert call.status == 101
        assert call.attempts[0].response_bytes == 16


async def test_a_stall_in_mid_answer_ends_at_the_idle_limit():
    async def play(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        await conversation.gone()

    async with (
        raw_upstream(play) as upstream,
        running_worker(provider("p", upstream.url, idle_timeout_s=0.1)) as worker,
    ):
        _, body = split(await worker.exchange(GET))

        assert body == b"3\r\nabc\r\n"
        (call,) = await worker.journal.calls(1)
        assert (call.outcome, call.error_class) == ("broken", "timeout")


async def test_silence_before_the_answer_is_a_504_of_ours():
    async def play(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.gone()

    async with (
        raw_upstream(play) as upstream,
        running_worker(provider("p", upstream.url, first_byte_timeout_s=0.1)) as worker,
    ):
        answer = await worker.exchange(GET)

        assert answer.startswith(b"HTTP/1.1 504 ")
        assert b"x-taximeter-error: upstream_timeout" in answer
        (call,) = await worker.journal.calls(1)
        assert (call.outcome, call.error_class, call.status) == ("error", "timeout", 504)
